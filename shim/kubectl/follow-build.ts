import type { ObjectName } from '../../kube/client/contract.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { backOff } from '../../lib/async/retry.ts'
import { RetryableError, ShimError } from '../../lib/errors.ts'
import type { UserKube } from '../commands/user-kube.ts'

/**
 * A NixBuild as it is now, and after each change. Throws PullFailed when it is deleted, ClusterRefused, or Cancelled.
 * While the API server is away, it waits for it.
 */
export async function* followBuild(
  { namespace, name }: ObjectName,
  { kube }: Pick<UserKube, 'kube'>,
  signal: AbortSignal,
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
    }
    await backOff(failures + 1, signal)
  }
  throw callerLeft(signal)
}

/** The API server may come back; the nodes continue meanwhile. */
function isAway(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'ClusterAway' || error.code === 'ClusterExpired')
}
