import type { Logger } from 'pino'
import { isConflict } from '../../../kube/client/api-error.ts'
import { type ClaimChange, type ClaimLease, claimPatch } from '../../../kube/resources/claim-lease.ts'
import { CLAIMS_NAMESPACE } from '../../../kube/resources/names.ts'
import { pause } from '../../../lib/async/retry.ts'
import { messageOf } from '../../../lib/errors.ts'
import { type ClaimKube, readLease, writeLease } from './claim-kube.ts'

export interface HeldLeaseOptions {
  readonly kube: ClaimKube
  readonly name: string
  /** As this node has just written it. */
  readonly lease: ClaimLease
  readonly self: string
  readonly durationMs: number
  readonly renewMs: number
  /** It is not renewed for longer than this, in case that nobody releases it. */
  readonly longestMs?: number
  /** Longest time that the release takes. */
  readonly endMs: number
  readonly logger: Logger
}

/** `lost`: another node has taken the Lease over, or it was deleted. */
export type Release = 'released' | 'lost' | 'unanswered'

/** A Lease that this node holds, and renews until it releases it. */
export interface HeldLease {
  readonly name: string
  /** Written with the next renewal. */
  tell(progress: string): void
  /** Ends the renewals and releases the Lease, with this change. May be called again if there was no answer. Never throws. */
  release(change?: (lease: ClaimLease) => ClaimChange): Promise<Release>
}

export function holdLease(options: HeldLeaseOptions): HeldLease {
  const { kube, name, self, durationMs, renewMs, longestMs, endMs, logger } = options
  const over = new AbortController()
  const endsAt = performance.now() + (longestMs ?? Number.POSITIVE_INFINITY)
  let lease: ClaimLease | undefined = options.lease
  let progress: string | undefined

  /** Writes unless another node has taken the Lease over, or it was deleted. */
  async function write(changeOf: (lease: ClaimLease) => ClaimChange, signal: AbortSignal): Promise<void> {
    if (!lease) return
    const limits = { signal, timeoutMs: Math.max(renewMs, endMs) }
    try {
      lease = await writeLease(kube, name, claimPatch(lease.resourceVersion, changeOf(lease)), limits)
    } catch (error) {
      if (!isConflict(error)) throw error
      // Another node has added itself, or an earlier write of this one was not answered.
      const current = await readLease(kube, name, limits)
      lease = current?.holder === self ? current : undefined
      if (lease) lease = await writeLease(kube, name, claimPatch(lease.resourceVersion, changeOf(lease)), limits)
    }
    if (!lease) logger.info({ lease: `${CLAIMS_NAMESPACE}/${name}` }, 'the lease is no longer held by this node')
  }

  async function renew(): Promise<void> {
    while (lease && !over.signal.aborted && performance.now() < endsAt) {
      await pause(renewMs, over.signal)
      if (over.signal.aborted) return
      const told = progress
      progress = undefined
      const change = { holder: self, durationMs, ...(told !== undefined && { progress: told }) }
      await write(() => change, over.signal).catch(error => {
        progress ??= told
        if (!over.signal.aborted) logger.debug({ err: messageOf(error), name }, 'cannot renew the lease')
      })
    }
  }

  const renewing = renew()
  return {
    name,
    tell(next) {
      progress = next
    },
    async release(change = () => ({})) {
      over.abort()
      await renewing
      try {
        await write(current => ({ holder: '', ...change(current) }), AbortSignal.timeout(endMs))
        return lease ? 'released' : 'lost'
      } catch (error) {
        logger.debug({ err: messageOf(error), name }, 'cannot release the lease')
        return 'unanswered'
      }
    },
  }
}
