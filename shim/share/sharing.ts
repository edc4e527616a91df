import type { Logger } from 'pino'
import { orCancelled, within } from '../../lib/async/bounded-wait.ts'
import { RetryableError } from '../../lib/errors.ts'
import type { FindCall, PathClaim, PathSharing, PathSource, SharedPath } from '../nix/sharing.ts'
import { createAnnouncements } from './announce.ts'
import { createClaims } from './claims.ts'
import { createFindCopy } from './find-copy.ts'
import { createFinder } from './find-path.ts'
import type { ClaimKube } from './leases/claim-kube.ts'
import { createWatchPlaces } from './leases/lease-view.ts'
import { createPeers } from './peers.ts'
import { createBackground } from './runs/background.ts'
import { createLocalRuns, type LocalEnd } from './runs/local-runs.ts'
import { createRunMemories } from './runs/run-memory.ts'
import { type ShareTimes, TIMES } from './settings.ts'
import { createSlots } from './slots.ts'
import { createStores } from './stores.ts'
import { throwIfLeft } from './waiting.ts'

export interface SharingOptions {
  /** Undefined without a cluster: then only the stores are asked. */
  readonly kube?: (() => Promise<ClaimKube>) | undefined
  /** Name of this node. */
  readonly node: string
  /** Whether other nodes can copy from this one. */
  readonly serves: boolean
  /** Whether it copies what it builds to a store. */
  readonly pushes: boolean
  /** Whether it must not build. */
  readonly fetchOnly: boolean
  /** URLs of binary caches that are asked before other nodes. */
  readonly stores: readonly string[]
  /** How long it waits for other nodes, in milliseconds. */
  readonly waitMs: number
  /** No copy takes longer. */
  readonly copyMs: number
  /** May name proxies and certificates. */
  readonly env?: Readonly<NodeJS.ProcessEnv>
  readonly times?: Partial<ShareTimes>
  readonly logger: Logger
}

export interface Sharing extends PathSharing {
  /** Waits until all claims are released, for at most that time. Call it after all runs have ended. */
  close(limitMs: number): Promise<void>
}

/** Of the 64 connections to the API server (kube/client/transport.ts). */
const MAX_WATCHES = 24

const NONE: ReadonlySet<string> = new Set()

/** Another run of this node has built or copied the path: nix finds it. */
const HERE: PathSource = { kind: 'build', claim: { progress() {}, async end() {} } }

export function createSharing(options: SharingOptions): Sharing {
  const { node: self, serves, pushes, fetchOnly, waitMs, copyMs, env = {} } = options
  const times = { ...TIMES, ...options.times }
  const logger = options.logger.child({ stage: 'share' })
  const mayBuild = !fetchOnly
  const runs = createLocalRuns()
  const stores = createStores({ stores: options.stores, limitMs: times.storeMs, silentMs: times.storeSilentMs, env })
  const hasCluster = options.kube !== undefined
  const kube = options.kube ?? noCluster
  const background = createBackground()
  const common = { kube, hasCluster, self, serves, pushes, mayBuild, times, background, logger }
  const claims = createClaims(common)
  const announcements = hasCluster && serves ? createAnnouncements(common) : undefined
  const peers = createPeers(kube, times.addressMs)
  const slots = createSlots({ ...common, copyMs })
  const copies = createFindCopy({ ...common, stores, peers, slots })
  const finder = createFinder({ ...common, waitMs, claims, copies, places: createWatchPlaces(MAX_WATCHES) })
  const memories = createRunMemories(waitMs)

  /** Waits for the run of this node that cares for the path. Undefined if that takes too long. */
  async function follow({ drvPath }: SharedPath, call: FindCall, deadline: number): Promise<LocalEnd | undefined> {
    const following = runs.following(drvPath, call.onProgress)
    if (!following) return { kind: 'left' }
    try {
      return await orCancelled(within(Math.max(0, deadline - performance.now()), following.ended), call.signal)
    } finally {
      following.leave()
    }
  }

  async function claim(path: SharedPath, signal: AbortSignal): Promise<PathClaim | undefined> {
    throwIfLeft(signal)
    if (fetchOnly || (await stores.find(path, NONE, signal)) !== undefined) return undefined
    const lead = runs.lead(path.drvPath)
    if (!lead) return undefined
    let claimed: PathClaim | undefined
    try {
      if (hasCluster) claimed = await claims.attempt(path, { lead, signal })
      else claimed = await claims.hold(path, undefined, { lead, signal })
      throwIfLeft(signal)
      announcements?.skip(path.storePath)
      return claimed
    } finally {
      // A claim of a run that has left releases itself.
      if (!claimed) lead.end({ kind: 'left' })
    }
  }

  async function find(path: SharedPath, call: FindCall): Promise<PathSource> {
    const memory = memories.of(call.failed)
    for (;;) {
      throwIfLeft(call.signal)
      const lead = runs.lead(path.drvPath)
      if (lead) {
        const onProgress: FindCall['onProgress'] = progress => {
          call.onProgress(progress)
          lead.progress(progress)
        }
        announcements?.skip(path.storePath)
        return finder.find({ path, call: { ...call, onProgress }, lead, memory })
      }
      const end = await follow(path, call, memory.deadline)
      if (end === undefined && fetchOnly) throw finder.nothingBuilt(path)
      if (end?.kind === 'failed') throw end.error
      // A node that must not build copies again, and finds everything here.
      if (end === undefined || (end.kind === 'here' && mayBuild)) return HERE
    }
  }

  return {
    claim,
    find,
    has: storePath => announcements?.announce(storePath),
    async close(limitMs) {
      await within(limitMs, Promise.all([background.close(), runs.ended()]))
    },
  }
}

async function noCluster(): Promise<never> {
  throw new RetryableError('ClusterAway', 'the config has no section kubernetes')
}
