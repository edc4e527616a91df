import type { Logger } from 'pino'
import { pathClaimName } from '../../kube/resources/claim-lease.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { jitter, pause } from '../../lib/async/retry.ts'
import { messageOf, RetryableError, reviveError, type ShimError, toShimError } from '../../lib/errors.ts'
import { describeSpan } from '../../lib/text/units.ts'
import type { PathSource, SharedPath } from '../nix/sharing.ts'
import type { Claims } from './claims.ts'
import type { FindCopy, FindTask } from './find-copy.ts'
import type { ClaimKube } from './leases/claim-kube.ts'
import { createLeaseView, type WatchPlaces } from './leases/lease-view.ts'
import { endOf } from './runs/local-runs.ts'
import type { ShareTimes } from './settings.ts'
import { createTeller, isStillDue, throwIfLeft } from './waiting.ts'

export interface FinderOptions {
  readonly kube: () => Promise<ClaimKube>
  /** Whether there are other nodes at all. */
  readonly hasCluster: boolean
  readonly mayBuild: boolean
  readonly waitMs: number
  readonly times: ShareTimes
  readonly claims: Claims
  readonly copies: FindCopy
  readonly places: WatchPlaces
  readonly logger: Logger
}

export interface Finder {
  /** For the run of this node that leads for the path. The source ends `lead`, or the failure does. */
  find(task: FindTask): Promise<PathSource>
  nothingBuilt(path: SharedPath): ShimError
}

/** A run with more of them is kept busy with addresses that do not work. */
const MAX_FAILED = 8

export function createFinder(options: FinderOptions): Finder {
  const { kube, hasCluster, mayBuild, waitMs, times, claims, copies, places, logger } = options

  function nothingBuilt({ storePath, image }: SharedPath): ShimError {
    return new RetryableError(
      'NothingBuilt',
      `this node builds nothing (nix.build, nix.maxBuilds), and within ${describeSpan(waitMs)} no other node or store had ${storePath} for ${image}: check that a node that builds may run this image`,
    )
  }

  async function search(task: FindTask): Promise<PathSource> {
    const { path, call, lead, memory } = task
    const { storePath } = path
    const { signal } = call
    const { deadline } = memory
    const forget = () => mayBuild || memory.forgetBefore(performance.now() - times.storeAgainMs)
    const build = async (lease?: Parameters<Claims['hold']>[1]): Promise<PathSource> => {
      return { kind: 'build', claim: await claims.hold(path, lease, { lead, signal }) }
    }

    forget()
    let storesAskedAt = performance.now()
    const stored = await copies.fromStore(task)
    if (stored) return stored
    const name = pathClaimName(storePath)
    const isHopeless = name === undefined || memory.failed().size >= MAX_FAILED
    if (mayBuild && (isHopeless || !hasCluster)) return build()
    if (isHopeless) throw nothingBuilt(path)

    const seen = claims.takeSeen(path)
    using view = createLeaseView({ kube, name, seen, places, pollMs: times.pollMs, signal, logger })
    const peers = copies.search(task, name, view)
    const tell = createTeller(call)
    let hasWaited = false
    let nextStoreAt = mayBuild ? Number.POSITIVE_INFINITY : performance.now() + times.storeAgainMs

    /** The holder may have pushed the path to a store before it has released its claim. */
    const storedMeanwhile = async (): Promise<PathSource | undefined> => {
      const now = performance.now()
      const seenAt = view.seen?.seenAt ?? now
      if (storesAskedAt > Math.max(seenAt, now - times.seenMs)) return undefined
      if (hasWaited) memory.forgetBefore(seenAt)
      storesAskedAt = now
      return copies.fromStore(task)
    }

    for (;;) {
      throwIfLeft(signal)
      const now = performance.now()
      if (now >= deadline && !mayBuild) throw nothingBuilt(path)
      const decision = view.seen && claims.decide(path, view.seen, peers.unusable)
      const acquiring = decision?.kind === 'create' || decision?.kind === 'take' ? decision : undefined
      if (mayBuild && (now >= deadline || view.awayMs() > times.leaseMs)) {
        logger.info({ storePath, isAway: now < deadline }, 'this node no longer waits for others, and builds')
        // Others that wait for as long then wait for this one.
        const canClaim = acquiring && claims.offers && now >= deadline
        return build(canClaim ? await claims.acquire(path, acquiring, peers.gone).catch(() => undefined) : undefined)
      }
      if (now >= nextStoreAt) {
        forget()
        peers.forget()
        const stored = await copies.fromStore(task)
        if (stored) return stored
        nextStoreAt = now + jitter(times.storeAgainMs, 0.2)
        continue
      }
      const longestMs = Math.max(0, Math.min(deadline, nextStoreAt) - now)
      if (decision?.kind === 'fail') {
        claims.heard(path)
        const { code, message, node } = decision.failure
        throw reviveError(code, `${message} (built on ${node})`)
      }
      if (decision?.kind === 'alone') return build()
      if (decision?.kind === 'wait') {
        hasWaited = true
        tell(decision.node, decision.progress)
        await view.changed(Math.min(decision.ms ?? longestMs, longestMs))
        continue
      }
      try {
        if (decision === undefined) await view.read()
        else if (decision.kind === 'copy') {
          const source = await peers.next(decision.nodes, longestMs)
          if (source) return source
        } else if (await isStillDue(decision, view, signal)) {
          const stored = await storedMeanwhile()
          if (stored) return stored
          if (!claims.offers) return build()
          const lease = await claims.acquire(path, decision, peers.gone)
          if (lease) return await build(lease)
          await view.refresh()
        }
      } catch (error) {
        throwIfLeft(signal)
        const failure = toShimError(error)
        if (mayBuild && !failure.retryable) {
          logger.warn({ err: messageOf(error) }, 'the API server refuses claims, so this node builds by itself')
          return build()
        }
        view.failed()
        await pause(Math.min(jitter(times.shortestPauseMs, 0.5), longestMs), signal)
      }
    }
  }

  return {
    nothingBuilt,
    async find(task) {
      try {
        return await search(task)
      } catch (error) {
        const { signal } = task.call
        const failure = signal.aborted ? callerLeft(signal) : toShimError(error)
        task.lead.end(endOf(failure))
        throw failure
      }
    },
  }
}
