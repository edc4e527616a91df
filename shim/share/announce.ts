import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { claimPatch, pathClaimName } from '../../kube/resources/claim-lease.ts'
import { messageOf } from '../../lib/errors.ts'
import { setBounded } from '../../lib/queues/set-bounded.ts'
import { type ClaimKube, createLease, readLease, writeLease } from './leases/claim-kube.ts'
import { joinNodes } from './leases/join-nodes.ts'
import type { ShareTimes } from './settings.ts'

export interface AnnounceOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly self: string
  readonly times: Pick<ShareTimes, 'leaseMs' | 'endMs' | 'announcedMs'>
  readonly logger: Logger
}

/** Paths that are remembered: more than a node has images. */
const MAX_ANNOUNCED = 1000

/**
 * Tells other nodes, in the background, that this one has a path. They need to know if it was built before nodes shared, or if the
 * Lease has gone meanwhile. Looks once in a while for each path.
 */
export interface Announcements {
  announce(storePath: string): void
  /** A claim or a copy of this node tells it. */
  skip(storePath: string): void
}

export function createAnnouncements({ kube, self, times, logger }: AnnounceOptions): Announcements {
  const announced = new Map<string, number>()

  async function tell(storePath: string, name: string): Promise<void> {
    const client = await kube()
    const limits = { timeoutMs: times.endMs }
    const lease = await readLease(client, name, limits)
    if (lease) return void (await joinNodes({ kube, name, self, lease, limitMs: times.endMs, logger }))
    const created = await createLease(
      client,
      name,
      { holder: self, durationMs: times.leaseMs, path: { storePath } },
      limits,
    )
    await writeLease(client, name, claimPatch(created.resourceVersion, { holder: '', nodes: [self] }), limits)
  }

  function skip(storePath: string): void {
    setBounded(announced, storePath, performance.now() + times.announcedMs, MAX_ANNOUNCED)
  }

  return {
    skip,
    announce(storePath) {
      const name = pathClaimName(storePath)
      if (name === undefined || (announced.get(storePath) ?? 0) > performance.now()) return
      skip(storePath)
      tell(storePath, name).catch(error => {
        announced.delete(storePath)
        // A conflict: another node has just claimed it, or told that it has it.
        if (!isConflict(error)) logger.debug({ err: messageOf(error), storePath }, 'cannot tell other nodes of a path')
      })
    },
  }
}
