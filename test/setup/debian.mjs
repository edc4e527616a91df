import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds, TOP } from './run.mjs'

/**
 * Debian packages are unpacked here and never installed: that would start daemons, and might replace those in use.
 * The test bed lays the `usr` of this folder over the machine's (test/node/namespace.sh).
 */
const UNPACKED = join(TOP, '.cache/debian')

const NEEDED = [
  { program: '/usr/bin/containerd', debianPackage: 'containerd' },
  { program: '/usr/bin/containerd-shim-runc-v2', debianPackage: 'containerd' },
  { program: '/usr/bin/ctr', debianPackage: 'containerd' },
  { program: '/usr/sbin/runc', debianPackage: 'runc' },
  { program: '/usr/bin/nix', debianPackage: 'nix-bin' },
  { program: '/usr/bin/nix-daemon', debianPackage: 'nix-bin' },
  { program: '/usr/bin/busybox', debianPackage: 'busybox-static', isStatic: true },
  { program: '/usr/lib/cni/loopback', debianPackage: 'containernetworking-plugins' },
  { program: '/usr/bin/etcd', debianPackage: 'etcd-server' },
  // nix fetches git flakes with it; the tests look for processes with pgrep and kill them.
  { program: '/usr/bin/git', debianPackage: 'git' },
  { program: '/usr/bin/pgrep', debianPackage: 'procps' },
]

/** Does the machine, or else the project's cache, have each program? */
export function debianPackagesAreThere() {
  return whatIsMissing().length === 0
}

/** One line for each program that neither has: how to get it. */
export function whatIsMissing() {
  return missingPrograms()
    .filter(need => !satisfies(UNPACKED + need.program, need))
    .map(({ program, debianPackage }) => `  ${program} is missing: apt-get install ${debianPackage}`)
}

/** Once the packages are there. */
export function busyboxPath() {
  const unpacked = join(UNPACKED, 'usr/bin/busybox')
  return existsSync(unpacked) ? unpacked : '/usr/bin/busybox'
}

/** Fetches the packages and what they depend on with apt-get, as far as the machine lacks it. */
export function unpackDebianPackages() {
  if (!succeeds('apt-get', ['--version'])) {
    throw new SetupError(
      ['there is no apt-get; get these by hand (as Debian names them)', ...whatIsMissing()].join('\n'),
    )
  }
  const missing = missingPrograms()
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))]
  say(`unpacking Debian packages into .cache/debian (nothing is installed): ${packages.join(', ')}`)
  const archives = join(TOP, '.cache/debian-archives')
  mkdirSync(join(archives, 'partial'), { recursive: true })
  if (!download(packages, archives)) {
    say('updating the list of Debian packages (apt-get update)')
    if (!succeeds('apt-get', ['-qq', ...LOCK_WAIT, 'update']) || !download(packages, archives)) {
      throw new SetupError(['apt-get could not fetch the Debian packages (above)', ...whatIsMissing()].join('\n'))
    }
  }
  unpack(archives)
  rmSync(archives, { recursive: true })
  if (!debianPackagesAreThere())
    throw new SetupError(['the Debian packages lack programs', ...whatIsMissing()].join('\n'))
}

function missingPrograms() {
  return NEEDED.filter(need => !satisfies(need.program, need))
}

/** Another apt-get may be at work. */
const LOCK_WAIT = ['-o', 'DPkg::Lock::Timeout=300']

function download(packages, archives) {
  const settings = [`Dir::Cache::archives=${archives}/`, 'APT::Sandbox::User=root'] // the project may be for root alone
  const options = ['-qq', ...LOCK_WAIT, ...settings.flatMap(setting => ['-o', setting]), '--no-install-recommends']
  return succeeds('apt-get', [...options, '--yes', '--download-only', 'install', ...packages], {
    DEBIAN_FRONTEND: 'noninteractive',
  })
}

/** What a package has in /bin goes into /usr/bin: dpkg-deb --extract would put a folder in the link's place. */
const EXTRACT = 'dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory "$1"'

/** Under another name until all is there: a set-up that was cut short is done again. */
function unpack(archives) {
  const parts = `${UNPACKED}.part`
  rmSync(parts, { recursive: true, force: true })
  mkdirSync(join(parts, 'usr'), { recursive: true })
  for (const name of ['bin', 'sbin', 'lib']) {
    mkdirSync(join(parts, 'usr', name))
    symlinkSync(`usr/${name}`, join(parts, name))
  }
  for (const file of readdirSync(archives).filter(name => name.endsWith('.deb'))) {
    if (!succeeds('sh', ['-c', EXTRACT, join(archives, file), parts])) throw new SetupError(`cannot unpack ${file}`)
  }
  rmSync(UNPACKED, { recursive: true, force: true })
  renameSync(parts, UNPACKED)
}

/** A link into /nix does not count: the test bed has a /nix of its own. */
function satisfies(path, { isStatic = false }) {
  try {
    accessSync(path, constants.X_OK)
    return !realpathSync(path).startsWith('/nix/') && !(isStatic && wantsLoader(path))
  } catch {
    return false
  }
}

/** A dynamic program names its loader right after its ELF headers. */
function wantsLoader(path) {
  const start = Buffer.alloc(4096)
  const file = openSync(path, 'r')
  readSync(file, start)
  closeSync(file)
  return start.includes('/ld-linux')
}
