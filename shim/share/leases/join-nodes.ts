import type { Logger } from 'pino'
import { isConflict } from '../../../kube/client/api-error.ts'
import { CLAIM_LIMITS, type ClaimLease, claimPatch } from '../../../kube/resources/claim-lease.ts'
import { messageOf, ShimError } from '../../../lib/errors.ts'
import { type ClaimKube, readLease, writeLease } from './claim-kube.ts'

export interface JoinOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly name: string
  readonly self: string
  /** As last seen; undefined: it is read. */
  readonly lease?: ClaimLease | undefined
  readonly limitMs: number
  readonly logger: Logger
}

/**
 * Adds this node to those that have the path. To lose against others does no harm: enough nodes have it then. Returns whether there was
 * an answer; never throws.
 */
export async function joinNodes({ kube, name, self, lease, limitMs, logger }: JoinOptions): Promise<boolean> {
  const limits = { signal: AbortSignal.timeout(limitMs), timeoutMs: limitMs }
  try {
    const client = await kube()
    const add = async (current: ClaimLease | undefined) => {
      if (!current || current.nodes.includes(self) || current.nodes.length >= CLAIM_LIMITS.nodes) return
      const body = claimPatch(current.resourceVersion, { nodes: withNode(current.nodes, self) })
      await writeLease(client, name, body, limits)
    }
    try {
      await add(lease ?? (await readLease(client, name, limits)))
    } catch (error) {
      if (!isConflict(error)) throw error
      await add(await readLease(client, name, limits))
    }
    return true
  } catch (error) {
    logger.debug({ err: messageOf(error), name }, 'cannot tell other nodes that this one has the path')
    // It has lost twice, or must not write.
    return error instanceof ShimError && (isConflict(error) || !error.retryable)
  }
}

/** Drops the one that has been there longest if there are too many. */
export function withNode(nodes: readonly string[], node: string): readonly string[] {
  return [...nodes.filter(other => other !== node), node].slice(-CLAIM_LIMITS.nodes)
}
