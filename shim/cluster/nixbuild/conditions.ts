import type { Condition } from '../../../kube/resources/condition.ts'
import type { NixBuild } from '../../../kube/resources/nixbuild.ts'
import type { Ending } from './run-outcome.ts'
import type { RunFacts } from './run-status.ts'

interface Saying {
  readonly live: NixBuild
  readonly node: string
  /** RFC 3339. */
  readonly now: string
}

/** The conditions for the state of a run. A condition whose status stays keeps its time. */
export function conditionsOf({ phase, ending }: RunFacts, { live, node, now }: Saying): Condition[] {
  const [complete, success] = ending ? ended(ending) : unfinished(phase, `${phase} on ${node}`)
  return [complete, success].map(condition => {
    const before = live.status.conditions.find(({ type }) => type === condition.type)
    const lastTransitionTime = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now
    return { ...condition, observedGeneration: live.metadata.generation, lastTransitionTime }
  })
}

type Pair = readonly [Condition, Condition]

function ended(ending: Ending): Pair {
  switch (ending.kind) {
    case 'Succeeded':
      return [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
        { type: 'Success', status: 'True', reason: 'ResultSuccess', message: `Image loaded as ${ending.imageId}` },
      ]
    case 'Failed':
      return [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
        { type: 'Success', status: 'False', reason: 'ResultFailure', message: ending.message },
      ]
    case 'Retrying':
      return unfinished('Retrying', ending.message)
    case 'CalledOff':
      return unfinished('Interrupted', ending.message)
  }
}

function unfinished(reason: string, message: string): Pair {
  return [
    { type: 'Complete', status: 'False', reason, message },
    { type: 'Success', status: 'Unknown', reason, message },
  ]
}
