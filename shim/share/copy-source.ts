import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { CLAIM_LIMITS, type ClaimLease, claimPatch } from '../../kube/resources/claim-lease.ts'
import { messageOf } from '../../lib/errors.ts'
import type { CopySource } from '../nix/sharing.ts'
import { type ClaimKube, readLease, writeLease } from './claim-kube.ts'
import type { LeadingRun } from './local-runs.ts'
import { withNode } from './path-claim.ts'
import type { Slot } from './slots.ts'

export interface CopySourceOptions {
  readonly url: string
  /** Undefined for a store. */
  readonly node?: string | undefined
  /** Undefined if none was needed, or none could be had. */
  readonly slot?: Slot | undefined
  readonly lead: LeadingRun
  /** Of the run: nothing outlives it. */
  readonly signal: AbortSignal
  /** Tells other nodes that this one has the path. */
  readonly join: () => Promise<void>
}

export function createCopySource({ url, node, slot, lead, signal, join }: CopySourceOptions): CopySource {
  let ending: Promise<void> | undefined

  async function finish(copied: boolean): Promise<void> {
    signal.removeEventListener('abort', leave)
    await Promise.all([slot?.release(), copied ? join() : undefined])
    lead.end({ kind: copied ? 'here' : 'left' })
  }

  const end = (copied: boolean) => {
    ending ??= finish(copied)
    return ending
  }
  const leave = () => void end(false)
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  return { url, ...(node !== undefined && { node }), end }
}

export interface JoinOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly name: string
  readonly self: string
  /** As last seen. */
  readonly lease: ClaimLease | undefined
  readonly limitMs: number
  readonly logger: Logger
}

/** Adds this node to those that have the path. To lose against others does no harm: enough nodes have it then. */
export async function joinNodes({ kube, name, self, lease, limitMs, logger }: JoinOptions): Promise<void> {
  const limits = { signal: AbortSignal.timeout(limitMs), timeoutMs: limitMs }
  try {
    const client = await kube()
    const add = async (current: ClaimLease | undefined) => {
      if (!current || current.nodes.includes(self) || current.nodes.length >= CLAIM_LIMITS.nodes) return
      await writeLease(
        client,
        name,
        claimPatch(current.resourceVersion, { nodes: withNode(current.nodes, self) }),
        limits,
      )
    }
    try {
      await add(lease)
    } catch (error) {
      if (!isConflict(error)) throw error
      await add(await readLease(client, name, limits))
    }
  } catch (error) {
    logger.debug({ err: messageOf(error), name }, 'cannot tell other nodes that this one has the path')
  }
}
