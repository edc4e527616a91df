import { ApiStatus } from '../../kube/client/api-error.ts'
import { backOff } from '../../lib/async/retry.ts'
import { FinalError, ShimError } from '../../lib/errors.ts'

export interface OutageOptions {
  /** Called once for each time that the API server is away, with a text for people. */
  readonly onAway: (note: string) => void
  readonly signal: AbortSignal
}

/** Patience with an API server that is away: the nodes continue meanwhile. */
export interface Outage {
  /** Waits before the next attempt. Throws the error if it is another one, or if the user has no valid credentials. */
  endure(error: unknown): Promise<void>
  /** The API server has answered. */
  end(): void
}

/** Credentials may be renewed meanwhile, but a user who has none would wait without end. */
const MAX_UNAUTHORIZED = 3
/** A single connection that ends is nothing to speak of. */
const FAILURES_UNTIL_NOTE = 2

export function createOutage({ onAway, signal }: OutageOptions): Outage {
  let failures = 0
  let unauthorized = 0
  return {
    async endure(error) {
      if (signal.aborted || !isAway(error)) throw error
      failures += 1
      unauthorized = isUnauthorized(error) ? unauthorized + 1 : 0
      if (unauthorized >= MAX_UNAUTHORIZED) throw badCredentials(error)
      if (failures === FAILURES_UNTIL_NOTE) onAway(`waiting for the API server: ${error.message}`)
      await backOff(failures + 1, signal)
    },
    end() {
      failures = 0
      unauthorized = 0
    },
  }
}

/** The API server may come back. */
function isAway(error: unknown): error is ShimError {
  return error instanceof ShimError && (error.code === 'ClusterAway' || error.code === 'ClusterExpired')
}

function isUnauthorized({ cause }: ShimError): boolean {
  return cause instanceof ApiStatus && cause.status === 401
}

function badCredentials({ message, cause }: ShimError): FinalError {
  return new FinalError('ClusterRefused', `the API server does not accept your credentials: ${message}`, { cause })
}
