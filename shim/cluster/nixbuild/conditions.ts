import type { Condition } from '../../../kube/resources/condition.ts'
import type { NixBuild } from '../../../kube/resources/nixbuild.ts'
import type { RunOutcome } from './run-outcome.ts'
import type { RunFacts } from './run-status.ts'

interface ConditionContext {
  readonly live: NixBuild
  readonly node: string
  /** RFC 3339. */
  readonly now: string
}

/** The conditions for the state of a run. A condition whose status stays keeps its time. */
export function conditionsOf({ phase, outcome }: RunFacts, { live, node, now }: ConditionContext): Condition[] {
  const [complete, success] = outcome ? ended(outcome) : unfinished(phase, `${phase} on ${node}`)
  return [complete, success].map(condition => {
    const before = live.status.conditions.find(({ type }) => type === condition.type)
    const lastTransitionTime = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now
    return { ...condition, observedGeneration: live.metadata.generation, lastTransitionTime }
  })
}

type Pair = readonly [Condition, Condition]

function ended(outcome: RunOutcome): Pair {
  switch (outcome.kind) {
    case 'Succeeded':
      return [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
        { type: 'Success', status: 'True', reason: 'ResultSuccess', message: `Image loaded as ${outcome.imageId}` },
      ]
    case 'Failed':
      return [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
        { type: 'Success', status: 'False', reason: 'ResultFailure', message: outcome.message },
      ]
    case 'Retrying':
      return unfinished('Retrying', outcome.message)
    case 'Cancelled':
      return unfinished('Interrupted', outcome.message)
  }
}

function unfinished(reason: string, message: string): Pair {
  return [
    { type: 'Complete', status: 'False', reason, message },
    { type: 'Success', status: 'Unknown', reason, message },
  ]
}
