import type { ObjectName } from '../../kube/client/contract.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { backOff } from '../../lib/async/retry.ts'
import { RetryableError } from '../../lib/errors.ts'
import type { UserKube } from '../commands/user-kube.ts'
import { createOutage, type OutageOptions } from './outage.ts'

/**
 * A NixBuild as it is now, and after each change. Throws PullFailed when it is deleted, ClusterRefused, or Cancelled.
 * While the API server is away, it waits for it.
 */
export async function* followBuild(
  { namespace, name }: ObjectName,
  { kube }: { readonly kube: Pick<UserKube['kube'], 'watch'> },
  { onAway, signal }: OutageOptions,
): AsyncGenerator<NixBuild> {
  const selection = { namespace, fieldSelector: `metadata.name=${name}`, signal }
  const outage = createOutage({ onAway, signal })
  while (!signal.aborted) {
    try {
      let isThere = false
      for await (const event of kube.watch(nixBuilds, selection)) {
        outage.end()
        if (event.type === 'DELETED' || (event.type === 'BOOKMARK' && event.endsInitial && !isThere))
          throw new RetryableError('PullFailed', `the NixBuild ${name} has been deleted`)
        if (event.type === 'BOOKMARK') continue
        isThere = true
        yield nixBuilds.parse(event.object)
      }
      await backOff(1, signal)
    } catch (error) {
      await outage.endure(error)
    }
  }
  throw callerLeft(signal)
}
