import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CONTAINERD, ETCD, HELM, KUBERNETES } from '../setup/go/programs.mjs'

/** test/setup/debian.mjs unpacks missing Debian packages here. Inside a bed their `usr` is laid over the machine's. */
export const UNPACKED = join(import.meta.dirname, '../../.cache/debian')

/** Path of the static busybox, which is also valid outside a bed. */
export const BUSYBOX =
  [join(UNPACKED, 'usr/bin/busybox'), '/usr/bin/busybox'].find(path => existsSync(path)) ?? 'busybox'

/** Folders, as in PATH, with Kubernetes programs of other versions. Each replaces the one that the tests use. */
const { ENBI_KUBERNETES_PROGRAMS: others = '' } = process.env

/** Path of a Kubernetes program, which the set-up builds. */
export function kubernetesProgram(name: string): string {
  const folders = [...others.split(delimiter).filter(folder => folder !== ''), KUBERNETES.dir]
  return join(folders.find(folder => existsSync(join(folder, name))) ?? KUBERNETES.dir, name)
}

export const ETCD_PROGRAM = join(ETCD.dir, 'etcd')

/** Path of Helm, or of the check of the Prometheus operator's objects. */
export function helmProgram(name: 'helm' | 'check-monitoring'): string {
  return join(HELM.dir, name)
}

/** A newer containerd with its own `containerd-shim-runc-v2` and `ctr`. */
export const NEWER_CONTAINERD = { dir: CONTAINERD.dir, version: CONTAINERD.version }
