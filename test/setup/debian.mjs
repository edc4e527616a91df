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
  // Nix fetches flakes with git and ssh. Tests find processes with pgrep.
  { program: '/usr/bin/git', debianPackage: 'git' },
  { program: '/usr/bin/ssh', debianPackage: 'openssh-client' },
  // Makes the certificate of a forge.
  { program: '/usr/bin/openssl', debianPackage: 'openssl' },
  { program: '/usr/bin/pgrep', debianPackage: 'procps' },
  // Runs the units in tests. The machine's own systemd is not touched.
  { program: '/usr/lib/systemd/systemd', debianPackage: 'systemd' },
  // Makes a file system with reflinks and with subvolumes, between which hard links are impossible.
  { program: '/usr/sbin/mkfs.btrfs', debianPackage: 'btrfs-progs' },
  // Tars of store layers are compared with those of its module tarfile, which python3-minimal lacks.
  { program: '/usr/bin/python3', debianPackage: 'python3' },
]

/** Whether the machine or the project's cache has each program. */
export function debianPackagesAreThere() {
  return whatIsMissing().length === 0
}

/** For each program that neither has, a line that says how to get it. */
export function whatIsMissing() {
  return missingPrograms()
    .filter(need => !satisfies(UNPACKED + need.program, need))
    .map(({ program, debianPackage }) => `  ${program} is missing: apt-get install ${debianPackage}`)
}

/** Fetches the packages that the machine lacks with apt-get, and their dependencies. */
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

/** A link into /nix does not count, because the test bed has a /nix of its own. */
function satisfies(path, { isStatic = false }) {
  try {
    accessSync(path, constants.X_OK)
    return !realpathSync(path).startsWith('/nix/') && !(isStatic && wantsLoader(path))
  } catch {
    return false
  }
}

/** A dynamically linked program names its loader right after its ELF headers. */
function wantsLoader(path) {
  const start = Buffer.alloc(4096)
  const file = openSync(path, 'r')
  readSync(file, start)
  closeSync(file)
  return start.includes('/ld-linux')
}
