import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CONTAINERD, KUBERNETES } from '../setup/go/programs.mjs'

/** Debian packages that the machine lacks are unpacked here by test/setup/debian.mjs; inside a bed their `usr` lies over the machine's. */
export const UNPACKED = join(import.meta.dirname, '../../.cache/debian')

/** The static busybox, as a path that is good outside of a bed, too. */
export const BUSYBOX =
  [join(UNPACKED, 'usr/bin/busybox'), '/usr/bin/busybox'].find(path => existsSync(path)) ?? 'busybox'

/** Where a program of Kubernetes is, once the set-up has built it. */
export function kubernetesProgram(name: string): string {
  return join(KUBERNETES.dir, name)
}

/** The newer containerd, with its own `containerd-shim-runc-v2` and `ctr` beside it. */
export const NEWER_CONTAINERD = { dir: CONTAINERD.dir, version: CONTAINERD.version }
