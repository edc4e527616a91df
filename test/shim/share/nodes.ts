import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import type { Kube } from '../../../kube/client/contract.ts'
import {
  type ClaimLease,
  claimLeases,
  type NewClaim,
  newClaim,
  pathClaimName,
} from '../../../kube/resources/claim-lease.ts'
import { CLAIMS_NAMESPACE } from '../../../kube/resources/names.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import type { BuildProgress } from '../../../shim/nix/log/build-progress.ts'
import type { CopySource, FindCall, PathClaim, PathSource, SharedPath } from '../../../shim/nix/sharing.ts'
import type { ShareTimes } from '../../../shim/share/settings.ts'
import { createSharing, type Sharing, type SharingOptions } from '../../../shim/share/sharing.ts'
import { useCluster } from '../../cluster/use-cluster.ts'

/** Short, so that a lost holder is noticed soon. */
const SHORT: Partial<ShareTimes> = {
  leaseMs: 3_000,
  renewMs: 300,
  slotMs: 3_000,
  renewSlotMs: 500,
  askMs: 10_000,
  endMs: 10_000,
  shortestPauseMs: 50,
  silentMs: 200,
  longestPauseMs: 200,
  pollMs: 300,
}

export interface NodeOptions extends Partial<Omit<SharingOptions, 'node' | 'logger' | 'kube'>> {
  /** Name of a node that exists already. */
  readonly name?: string
  /** What the NixNode says; null: there is none. */
  readonly store?: object | null
  /** By default the administrator's client. */
  readonly kube?: Kube | undefined
  /** Without a cluster. */
  readonly isAlone?: boolean
  /** With a token of a shim that is bound to the node. */
  readonly isBound?: boolean
}

export interface ShareNode {
  readonly name: string
  readonly sharing: Sharing
  /** Of its binary cache. */
  readonly url: string
  /** Requests so far, such as `get leases`. */
  readonly requests: string[]
}

/** Several nodes of the shared cluster, all in this process. */
export async function useNodes() {
  const cluster = await useCluster()
  const kube = cluster.client()

  async function boundClient(node: string): Promise<Kube> {
    await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
    const token = await cluster.createToken({ namespace: 'enbi-system', serviceAccount: 'enbi-shim', node })
    return cluster.client(await cluster.kubeconfig({ token }))
  }

  return {
    cluster,
    kube,
    async add(options: NodeOptions = {}): Promise<ShareNode> {
      const name = options.name ?? `node-${randomBytes(6).toString('hex')}`
      const url = `http://${name}.example:5000`
      const { serves = true, store = { address: url, maxServed: 4 } } = options
      if (serves && store && options.name === undefined) await announce(kube, name, store)
      const client = options.isBound ? await boundClient(name) : (options.kube ?? kube)
      const requests: string[] = []
      const counted = countRequests(client, requests)
      const sharing = createSharing({
        ...{ pushes: false, fetchOnly: false, stores: [], waitMs: 600_000, copyMs: 60_000 },
        ...options,
        ...{
          node: name,
          serves,
          kube: options.isAlone ? undefined : async () => counted,
          logger: pino({ level: 'silent' }),
        },
        times: { ...SHORT, ...options.times },
      })
      return { name, sharing, url, requests }
    },
    /** The node tells the address of its cache. */
    announce: ({ name, url }: ShareNode) => announce(kube, name, { address: url, maxServed: 4 }),
    /** The Lease of the path. */
    leaseOf: (path: SharedPath): Promise<ClaimLease | undefined> => kube.get(claimLeases, nameOf(path)),
    /** A claim of another node, whose shim is not one of these. */
    claimFor: (path: SharedPath, claim: Omit<NewClaim, 'path'>) =>
      kube.create(claimLeases, { ...nameOf(path), body: newClaim({ ...claim, path }) }),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

export function nameOf({ storePath }: SharedPath) {
  return { namespace: CLAIMS_NAMESPACE, name: pathClaimName(storePath) ?? '' }
}

async function announce(kube: Kube, name: string, store: object): Promise<void> {
  await kube.create(nixNodes, { name, body: { spec: {} } })
  const patch = { type: 'merge', subresource: 'status', fieldManager: 'test' } as const
  await kube.patch(nixNodes, { name, body: { status: { store } } }, patch)
}

function countRequests(kube: Kube, requests: string[]): Kube {
  return {
    ...kube,
    get(kind, ...rest) {
      requests.push(`get ${kind.plural}`)
      return kube.get(kind, ...rest)
    },
    create(kind, ...rest) {
      requests.push(`create ${kind.plural}`)
      return kube.create(kind, ...rest)
    },
    patch(kind, ...rest) {
      requests.push(`patch ${kind.plural}`)
      return kube.patch(kind, ...rest)
    },
    watch(kind, ...rest) {
      requests.push(`watch ${kind.plural}`)
      return kube.watch(kind, ...rest)
    },
  }
}

export interface Finding {
  readonly source: Promise<PathSource>
  readonly progress: BuildProgress[]
  readonly failed: Set<string>
  /** Whether the source is found, or cannot be. */
  isOver(): boolean
  cancel(): void
  /** Fails if it is to be built. */
  copy(): Promise<CopySource>
  /** Fails if it is to be copied. */
  claim(): Promise<PathClaim>
}

/** A run that looks for the path. */
export function find({ sharing }: ShareNode, path: SharedPath, failed = new Set<string>()): Finding {
  const run = new AbortController()
  const progress: BuildProgress[] = []
  const call: FindCall = { signal: run.signal, onProgress: event => progress.push(event), failed }
  let isOver = false
  const source = sharing.find(path, call).finally(() => {
    isOver = true
  })
  source.catch(() => {})
  return {
    source,
    progress,
    failed,
    isOver: () => isOver,
    cancel: () => run.abort(),
    async copy() {
      const found = await source
      if (found.kind === 'copy') return found.from
      throw new Error('the path is to be built')
    },
    async claim() {
      const found = await source
      if (found.kind === 'build') return found.claim
      throw new Error(`the path is to be copied from ${found.from.url}`)
    },
  }
}

/** The node claims the path, in a run that is never cancelled unless the test does it. */
export async function mustClaim(
  { sharing }: ShareNode,
  path: SharedPath,
  run = new AbortController(),
): Promise<PathClaim> {
  const claim = await sharing.claim(path, run.signal)
  if (!claim) throw new Error('the path is not claimed')
  return claim
}
