import type { EventContent } from '../../kube/resources/event.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type BuildAction, heldFor } from '../reconcile/plan-build.ts'
import type { BuildView } from '../views/nixbuild.ts'

/** What is told to who describes the NixBuild. */
export function buildEvent(build: BuildView, action: BuildAction): EventContent | undefined {
  const { namespace, name, uid } = build
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
      // Another reason for the same is in the status.
      if (action.reason === 'NoNode' && heldFor(build) !== undefined) return undefined
      return { about, type: 'Warning', reason: action.reason, message: action.message }
    case 'fail':
      return { about, type: 'Warning', reason: 'Failed', message: action.message }
    default:
      return undefined
  }
}
