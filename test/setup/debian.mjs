import { accessSync, closeSync, constants, openSync, readSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { unpackArchives } from './debian-archives.mjs'
import { SetupError, say, TOP } from './run.mjs'

/**
 * Debian packages are unpacked here and never installed.
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
  // nix fetches git flakes with them; the tests look for processes with pgrep and kill them.
  { program: '/usr/bin/git', debianPackage: 'git' },
  { program: '/usr/bin/ssh', debianPackage: 'openssh-client' },
  // The certificate of a forge.
  { program: '/usr/bin/openssl', debianPackage: 'openssl' },
  { program: '/usr/bin/pgrep', debianPackage: 'procps' },
  // Units run by the real one; no part of the machine's own is touched.
  { program: '/usr/lib/systemd/systemd', debianPackage: 'systemd' },
  // A file system with reflinks, and with parts between which nothing can be linked.
  { program: '/usr/sbin/mkfs.btrfs', debianPackage: 'btrfs-progs' },
  // The tars of store layers are held against its tarfile; python3-minimal lacks that.
  { program: '/usr/bin/python3', debianPackage: 'python3' },
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

/** Fetches the packages and what they depend on with apt-get, as far as the machine lacks it. */
export async function unpackDebianPackages() {
  const missing = missingPrograms()
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))]
  say(`unpacking Debian packages into .cache/debian (nothing is installed): ${packages.join(', ')}`)
  await unpackArchives(packages, UNPACKED, whatIsMissing())
  if (!debianPackagesAreThere())
    throw new SetupError(['the Debian packages lack programs', ...whatIsMissing()].join('\n'))
}

function missingPrograms() {
  return NEEDED.filter(need => !satisfies(need.program, need))
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
