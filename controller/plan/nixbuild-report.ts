import type { EventContent } from '../../kube/resources/event.ts'
import { apiTime } from '../../kube/resources/metadata.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { allConditions, type NixBuildResult, removeFields } from '../../kube/resources/nixbuild-status.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import type { NixBuildAction } from './nixbuild-facts.ts'
import { noNodeReason } from './plan-assignment.ts'

/** A change of the status as a JSON merge patch: null removes a field. */
export type StatusPatch = Readonly<Record<string, unknown>>

type StatusAction = Extract<NixBuildAction, { type: 'fail' | 'assign' | 'leavePending' | 'removeGoneNodes' }>

/** Merge patch of the status. Lists are replaced as a whole, so `build` must be the latest. */
export function statusPatch(build: NixBuildView, action: StatusAction, now: number): StatusPatch {
  if (action.type === 'removeGoneNodes') return { nodes: action.nodes }
  const { generation, conditions } = build
  const at = apiTime(now)
  return {
    // Whatever the action is, the node of the build loses its claim.
    ...removeFields(),
    ...(action.type === 'fail' ? { status: 'Failed', completionTime: at } : { status: 'Pending' }),
    observedGeneration: generation,
    attempts: action.attempts,
    conditions: allConditions(resultOf(action), { conditions, generation, now: at }),
  }
}

function resultOf(action: Exclude<StatusAction, { type: 'removeGoneNodes' }>): NixBuildResult {
  switch (action.type) {
    case 'fail':
      return { kind: 'Failed', message: action.message }
    case 'leavePending':
      return { kind: 'Undecided', reason: action.reason, message: action.message }
    case 'assign': {
      const last = action.attempts.at(-1)
      const before = last === undefined ? '' : `; before: ${last.reason}`
      return { kind: 'Undecided', reason: 'GivenToNode', message: `assigned to node ${action.node}${before}` }
    }
  }
}

/** The Event to record about the NixBuild. */
export function nixBuildEvent(build: NixBuildView, action: NixBuildAction): EventContent | undefined {
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
    case 'leavePending':
      // The status already says that no node can build it; a changed reason appears only there.
      if (action.reason === 'NoNode' && noNodeReason(build) !== undefined) return undefined
      return { about, type: 'Warning', reason: action.reason, message: action.message }
    case 'fail':
      return { about, type: 'Warning', reason: 'Failed', message: action.message }
    default:
      return undefined
  }
}
