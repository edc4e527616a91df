import type { Condition } from '../../kube/resources/condition.ts'
import { time } from '../../kube/resources/time.ts'
import type { BuildView } from '../views/nixbuild.ts'
import type { BuildAction } from './plan-build.ts'

/** A change of the status as a JSON merge patch: null removes a field. */
export type StatusPatch = Readonly<Record<string, unknown>>

type StatusAction = Extract<BuildAction, { type: 'fail' | 'assign' | 'hold' | 'prune' }>

/** Merge patch of the status. Lists are replaced as a whole, so `build` must be the latest. */
export function statusPatch(build: BuildView, action: StatusAction, now: number): StatusPatch {
  const at = time(now)
  switch (action.type) {
    case 'prune':
      return { nodes: action.nodes }
    case 'fail':
      return {
        ...common(build, action.attempts),
        status: 'Failed',
        completionTime: at,
        conditions: withConditions(build, at, [
          { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
          { type: 'Success', status: 'False', reason: 'ResultFailure', message: action.message },
        ]),
      }
    default:
      return {
        ...common(build, action.attempts),
        status: 'Pending',
        startTime: null,
        conditions: withConditions(build, at, [{ type: 'Complete', status: 'False', ...described(action) }]),
      }
  }
}

/** Clears the fields of a running build. */
function common({ generation }: BuildView, attempts: BuildView['attempts']): StatusPatch {
  return { observedGeneration: generation, attempts, buildNode: null, buildJobName: null, progress: null }
}

function described(action: Extract<StatusAction, { type: 'assign' | 'hold' }>): { reason: string; message: string } {
  if (action.type === 'hold') return { reason: action.reason, message: action.message }
  const last = action.attempts.at(-1)
  const before = last === undefined ? '' : `; before: ${last.reason}`
  return { reason: 'GivenToNode', message: `assigned to node ${action.node}${before}` }
}

type Written = Omit<Condition, 'lastTransitionTime'>

function withConditions(build: BuildView, at: string, written: readonly Written[]): Condition[] {
  const others = build.conditions.filter(({ type }) => type !== 'Complete' && type !== 'Success')
  return [
    ...others,
    ...written.map(condition => {
      const before = build.conditions.find(({ type }) => type === condition.type)
      const same = before?.status === condition.status && before.lastTransitionTime
      return { ...condition, lastTransitionTime: same || at }
    }),
  ]
}
