import type { EventContent } from '../../kube/resources/event.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type BuildAction, noNodeReason } from '../plan/plan-build.ts'
import type { NixBuildView } from '../views/nixbuild.ts'

/** The Event to record about the NixBuild. */
export function buildEvent(build: NixBuildView, action: BuildAction): EventContent | undefined {
  const { namespace, name, uid } = build
  const { apiVersion, kind } = nixBuilds
  const about = { apiVersion, kind, namespace, name, uid }
  switch (action.type) {
    case 'assign': {
      const last = action.attempts.at(-1)
      if (last === undefined) return undefined
      const message = `Assigned to node ${action.node}: ${last.reason}`
      return { about, type: 'Normal', reason: 'GivenToAnotherNode', message }
    }
    case 'hold':
      // The status already says that no node can build it; a changed reason appears only there.
      if (action.reason === 'NoNode' && noNodeReason(build) !== undefined) return undefined
      return { about, type: 'Warning', reason: action.reason, message: action.message }
    case 'fail':
      return { about, type: 'Warning', reason: 'Failed', message: action.message }
    default:
      return undefined
  }
}
