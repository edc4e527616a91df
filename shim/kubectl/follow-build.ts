import { ApiStatus } from '../../kube/client/api-error.ts'
import type { ObjectName } from '../../kube/client/contract.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { backOff } from '../../lib/async/retry.ts'
import { FinalError, RetryableError, ShimError } from '../../lib/errors.ts'
import type { UserKube } from '../commands/user-kube.ts'

export interface FollowOptions {
  /** Called once for each time that the API server is away, with a text for people. */
  readonly onAway: (note: string) => void
  readonly signal: AbortSignal
}

/** Credentials may be renewed meanwhile, but a user who has none would wait without end. */
const MAX_UNAUTHORIZED = 3
/** A single connection that ends is nothing to speak of. */
const FAILURES_UNTIL_NOTE = 2

/**
 * A NixBuild as it is now, and after each change. Throws PullFailed when it is deleted, ClusterRefused, or Cancelled.
 * While the API server is away, it waits for it.
 */
export async function* followBuild(
  { namespace, name }: ObjectName,
  { kube }: { readonly kube: Pick<UserKube['kube'], 'watch'> },
  { onAway, signal }: FollowOptions,
): AsyncGenerator<NixBuild> {
  const selection = { namespace, fieldSelector: `metadata.name=${name}`, signal }
  let failures = 0
  while (!signal.aborted) {
    try {
      let isThere = false
      for await (const event of kube.watch(nixBuilds, selection)) {
        failures = 0
        if (event.type === 'DELETED' || (event.type === 'BOOKMARK' && event.endsInitial && !isThere))
          throw new RetryableError('PullFailed', `the NixBuild ${name} has been deleted`)
        if (event.type === 'BOOKMARK') continue
        isThere = true
        yield nixBuilds.parse(event.object)
      }
    } catch (error) {
      if (signal.aborted || !isAway(error)) throw error
      failures += 1
      if (isUnauthorized(error) && failures >= MAX_UNAUTHORIZED) throw badCredentials(error)
      if (failures === FAILURES_UNTIL_NOTE) onAway(`waiting for the API server: ${error.message}`)
    }
    await backOff(failures + 1, signal)
  }
  throw callerLeft(signal)
}

/** The API server may come back; the nodes continue meanwhile. */
function isAway(error: unknown): error is ShimError {
  return error instanceof ShimError && (error.code === 'ClusterAway' || error.code === 'ClusterExpired')
}

function isUnauthorized({ cause }: ShimError): boolean {
  return cause instanceof ApiStatus && cause.status === 401
}

function badCredentials({ message, cause }: ShimError): FinalError {
  return new FinalError('ClusterRefused', `the API server does not accept your credentials: ${message}`, { cause })
}
