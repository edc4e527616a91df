import type { Logger } from 'pino'
import { unlessAborted } from '../../../lib/async/bounded-wait.ts'
import { messageOf, ShimError } from '../../../lib/errors.ts'

export interface AskOptions {
  /** Longest time that a pull waits for an answer. */
  readonly timeoutMs: number
  /**
   * After a failure, the namespace sends no requests for this long: an unreachable API server must not delay every
   * pull.
   */
  readonly pauseMs?: number
  readonly now?: () => number
  readonly logger: Logger
}

/** Asks the API server about one namespace. Resolves to undefined if there is no answer in time; throws only RecipeConflict. */
export type Ask = <Answer>(
  namespace: string,
  request: (signal: AbortSignal) => Promise<Answer>,
) => Promise<Answer | undefined>

const PAUSE_MS = 10_000

export function createAsk({ timeoutMs, pauseMs = PAUSE_MS, now = Date.now, logger }: AskOptions): Ask {
  const states = new Map<string, NamespaceState>()
  const stateOf = (namespace: string): NamespaceState => {
    const state = states.get(namespace) ?? { pausedUntil: 0, shared: new AbortController() }
    states.set(namespace, state)
    return state
  }

  return async (namespace, request) => {
    const state = stateOf(namespace)
    if (now() < state.pausedUntil) return undefined
    const shared = state.shared
    const limit = setTimeout(() => shared.abort(new Error('the API server does not answer in time')), timeoutMs)
    try {
      return await unlessAborted(request(shared.signal), shared.signal)
    } catch (err) {
      if (err instanceof ShimError && err.code === 'RecipeConflict') throw err
      if (state.shared === shared) {
        state.pausedUntil = now() + pauseMs
        state.shared = new AbortController()
        logger.warn({ namespace, err: messageOf(err), pauseMs }, 'cannot look up a recipe in the cluster')
      }
      shared.abort(err)
      return undefined
    } finally {
      clearTimeout(limit)
    }
  }
}

/** State is kept for each namespace, because its own NixBuilds may be what makes the response slow. */
interface NamespaceState {
  pausedUntil: number
  /** Aborts all requests of the namespace that wait at the moment. */
  shared: AbortController
}
