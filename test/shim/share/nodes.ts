import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import type { Kube } from '../../../kube/client/contract.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import type { BuildProgress } from '../../../shim/nix/log/build-progress.ts'
import type { FindCall, PathSource, SharedPath } from '../../../shim/nix/sharing.ts'
import type { ShareTimes } from '../../../shim/share/settings.ts'
import { createSharing, type Sharing, type SharingOptions } from '../../../shim/share/sharing.ts'
import { useCluster } from '../../cluster/use-cluster.ts'

/** Short, so that a lost holder is noticed soon. */
export const SHORT: Partial<ShareTimes> = {
  leaseMs: 2_000,
  renewMs: 300,
  slotMs: 2_000,
  renewSlotMs: 500,
  askMs: 5_000,
  shortestPauseMs: 50,
  longestPauseMs: 200,
  pollMs: 300,
}

export interface NodeOptions extends Partial<Omit<SharingOptions, 'node' | 'logger'>> {
  /** Name of the node. By default, a new one. */
  readonly name?: string
  readonly maxServed?: number
}

export interface ShareNode {
  readonly name: string
  readonly sharing: Sharing
  readonly url: string
}

/** Several nodes of the shared cluster, all in this process. */
export async function useNodes() {
  const cluster = await useCluster()
  const kube = cluster.client()
  return {
    cluster,
    kube,
    async add(options: NodeOptions = {}): Promise<ShareNode> {
      const name = options.name ?? `node-${randomBytes(6).toString('hex')}`
      const url = `http://${name}.example:5000`
      const serves = options.serves ?? true
      if (serves && options.name === undefined)
        await announce(kube, name, { address: url, maxServed: options.maxServed ?? 4 })
      const sharing = createSharing({
        kube: async () => kube,
        ...{ fetchOnly: false, stores: [], waitMs: 600_000, copyMs: 60_000 },
        ...options,
        ...{ node: name, serves, times: { ...SHORT, ...options.times }, logger: pino({ level: 'silent' }) },
      })
      return { name, sharing, url }
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

export async function announce(kube: Kube, name: string, store: object): Promise<void> {
  await kube.create(nixNodes, { name, body: { spec: {} } })
  const patch = { type: 'merge', subresource: 'status', fieldManager: 'test' } as const
  await kube.patch(nixNodes, { name, body: { status: { store } } }, patch)
}

const LETTERS = '0123456789abcdfghijklmnpqrsvwxyz'

export function somePath(): SharedPath {
  const hash = [...randomBytes(32)].map(byte => LETTERS[byte % 32]).join('')
  return { storePath: `/nix/store/${hash}-web`, image: 'registry.example/web:1' }
}

export interface Finding {
  readonly source: Promise<PathSource>
  readonly progress: BuildProgress[]
  readonly failed: Set<string>
  cancel(): void
}

/** A run that looks for the path. */
export function find({ sharing }: ShareNode, path: SharedPath, failed = new Set<string>()): Finding {
  const cancelled = new AbortController()
  const progress: BuildProgress[] = []
  const call: FindCall = { signal: cancelled.signal, onProgress: event => progress.push(event), failed }
  const source = sharing.find(path, call)
  source.catch(() => {})
  return { source, progress, failed, cancel: () => cancelled.abort() }
}

/** A signal that never aborts. */
export const never = () => new AbortController().signal
