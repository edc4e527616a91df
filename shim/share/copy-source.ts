import type { CopySource } from '../nix/sharing.ts'
import type { LeadingRun } from './runs/local-runs.ts'
import type { RunMemory } from './runs/run-memory.ts'
import type { Slot } from './slots.ts'

export interface CopySourceOptions {
  readonly url: string
  /** Undefined for a store. */
  readonly node?: string | undefined
  /** Undefined if none was needed, or none could be had. */
  readonly slot?: Slot | undefined
  readonly lead: LeadingRun
  readonly memory: RunMemory
  /** Of the run: nothing outlives it. */
  readonly signal: AbortSignal
  /** Tells other nodes that this one has the path. */
  readonly join: () => Promise<unknown>
}

export function createCopySource({ url, node, slot, lead, memory, signal, join }: CopySourceOptions): CopySource {
  let ending: Promise<void> | undefined

  async function finish(copied: boolean): Promise<void> {
    signal.removeEventListener('abort', leave)
    if (!copied) memory.note(url)
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
