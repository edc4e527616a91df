import type { EventContent } from '../../kube/event.ts'
import { nixBuilds } from '../../kube/nixbuild.ts'
import type { BuildView } from '../kinds/build.ts'
import type { BuildAction } from '../reconcile/plan-build.ts'

/** What is told to who describes the NixBuild. */
export function buildEvent({ namespace, name, uid }: BuildView, action: BuildAction): EventContent | undefined {
  const { apiVersion, kind } = nixBuilds
  const about = { apiVersion, kind, namespace, name, uid }
  switch (action.type) {
    case 'give': {
      const last = action.attempts.at(-1)
      if (last === undefined) return undefined
      const message = `Given to node ${action.node}, for ${last.reason}`
      return { about, type: 'Normal', reason: 'GivenToAnotherNode', message }
    }
    case 'hold':
      return { about, type: 'Warning', reason: action.reason, message: action.message }
    case 'fail':
      return { about, type: 'Warning', reason: 'Failed', message: action.message }
    default:
      return undefined
  }
}
