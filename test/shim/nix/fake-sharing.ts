import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, RetryableError, reviveError } from '../../../lib/errors.ts'
import type { PathSharing } from '../../../shim/nix/sharing.ts'

/** What the rest of the cluster does, as JSON. */
export interface FakeCluster {
  /** Whether this node gets each claim; `never` answers nothing until it is cancelled. */
  readonly claims: boolean | 'never'
  /** Where the path can be copied from, in order. */
  readonly sources?: readonly { readonly url: string; readonly node?: string }[]
  /** How long another node builds first. */
  readonly waitMs?: number
  /** When nothing is left to copy from. `wait`: another node builds, without an end. */
  readonly otherwise?: 'build' | 'wait' | { readonly code: ErrorCode; readonly message: string }
}

export type SharingEvent =
  | { readonly event: 'claim'; readonly storePath: string }
  | { readonly event: 'progress'; readonly phase: string }
  | { readonly event: 'end'; readonly failure?: ErrorCode | undefined }
  /** After a claim has ended. */
  | { readonly event: 'pushed' }
  | { readonly event: 'find'; readonly failed: readonly string[] }
  | { readonly event: 'copied' | 'not copied'; readonly url: string }

const WAITING = { phase: 'waiting', node: 'worker-3', progress: '12 of 40' } as const

/** Plays the cluster for a builder, and remembers its calls. */
export function fakeSharing({ claims, sources = [], waitMs, otherwise = 'build' }: FakeCluster): {
  readonly sharing: PathSharing
  readonly events: readonly SharingEvent[]
} {
  const events: SharingEvent[] = []
  const claim = {
    progress: ({ phase }: { phase: string }) => void events.push({ event: 'progress', phase }),
    async end(failure?: { code: ErrorCode }, pushed?: Promise<void>) {
      events.push({ event: 'end', failure: failure?.code })
      if (pushed === undefined) return
      await pushed
      events.push({ event: 'pushed' })
    },
  }
  const sharing: PathSharing = {
    async claim({ storePath }, signal) {
      events.push({ event: 'claim', storePath })
      if (claims === 'never') return untilAborted(signal)
      return claims ? claim : undefined
    },
    has: () => {},
    async find(_, { failed, signal, onProgress }) {
      events.push({ event: 'find', failed: [...failed] })
      if (waitMs !== undefined) {
        onProgress(WAITING)
        await delay(waitMs, undefined, { signal })
      }
      const from = sources.find(({ url }) => !failed.has(url))
      if (from) {
        const end = async (copied: boolean) =>
          void events.push({ event: copied ? 'copied' : 'not copied', url: from.url })
        return { kind: 'copy', from: { ...from, end } }
      }
      if (otherwise === 'build') return { kind: 'build', claim }
      if (otherwise !== 'wait') throw reviveError(otherwise.code, otherwise.message)
      onProgress(WAITING)
      return untilAborted(signal)
    },
  }
  return { sharing, events }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const leave = () => reject(new RetryableError('Cancelled', 'nobody waits any more'))
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
  })
}
