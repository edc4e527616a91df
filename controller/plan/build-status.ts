import { allConditions, type NixBuildResult, removeFields } from '../../kube/resources/nixbuild-status.ts'
import { time } from '../../kube/resources/time.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import type { BuildAction } from './plan-build.ts'

/** A change of the status as a JSON merge patch: null removes a field. */
export type StatusPatch = Readonly<Record<string, unknown>>

type StatusAction = Extract<BuildAction, { type: 'fail' | 'assign' | 'hold' | 'prune' }>

/** Merge patch of the status. Lists are replaced as a whole, so `build` must be the latest. */
export function statusPatch(build: NixBuildView, action: StatusAction, now: number): StatusPatch {
  if (action.type === 'prune') return { nodes: action.nodes }
  const { generation, conditions } = build
  const at = time(now)
  return {
    // Whatever the action is, the node of the build loses its claim.
    ...removeFields(),
    ...(action.type === 'fail' ? { status: 'Failed', completionTime: at } : { status: 'Pending' }),
    observedGeneration: generation,
    attempts: action.attempts,
    conditions: allConditions(resultOf(action), { conditions, generation, now: at }),
  }
}

function resultOf(action: Exclude<StatusAction, { type: 'prune' }>): NixBuildResult {
  switch (action.type) {
    case 'fail':
      return { kind: 'Failed', message: action.message }
    case 'hold':
      return { kind: 'Undecided', reason: action.reason, message: action.message }
    case 'assign': {
      const last = action.attempts.at(-1)
      const before = last === undefined ? '' : `; before: ${last.reason}`
      return { kind: 'Undecided', reason: 'GivenToNode', message: `assigned to node ${action.node}${before}` }
    }
  }
}
