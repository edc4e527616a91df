import { type Condition, transitionTime } from './condition.ts'
import type { NixBuildStatus } from './nixbuild.ts'

/** The types of a NixBuild's conditions. Other writers may add conditions of other types. */
export const NIXBUILD_CONDITIONS: readonly string[] = ['Complete', 'Success']

/** What the conditions of a NixBuild say. */
export type NixBuildResult =
  /** For people: `problem` says where it still failed, `waiting` which nodes are still to have it. */
  | {
      readonly kind: 'Succeeded'
      readonly imageId: string
      readonly problem?: string | undefined
      readonly waiting?: string | undefined
    }
  | { readonly kind: 'Failed'; readonly message: string }
  /** The reason is one word for programs, the message is for people. */
  | { readonly kind: 'Undecided'; readonly reason: string; readonly message: string }

export interface ConditionContext {
  /** The conditions as they are now. */
  readonly conditions: readonly Condition[]
  readonly generation: number
  /** RFC 3339. */
  readonly now: string
}

/**
 * The conditions to write, with those of other writers: a merge patch replaces the whole list. Both are always present,
 * as the conventions of the Kubernetes API ask for: `Success` is Unknown while the result is undecided.
 */
export function nixBuildConditions(result: NixBuildResult, context: ConditionContext): Condition[] {
  const { conditions, generation, now } = context
  const others = conditions.filter(({ type }) => !NIXBUILD_CONDITIONS.includes(type))
  const own = textsOf(result).map(condition => {
    const before = conditions.find(({ type }) => type === condition.type)
    const lastTransitionTime = transitionTime(before, condition.status, now)
    return { ...condition, observedGeneration: generation, lastTransitionTime }
  })
  return [...others, ...own]
}

type Texts = readonly [complete: Condition, success: Condition]

function textsOf(result: NixBuildResult): Texts {
  switch (result.kind) {
    case 'Succeeded': {
      const { imageId, problem, waiting } = result
      const message = `Image loaded as ${imageId}${problem === undefined ? '' : `; ${problem}`}`
      return [
        waiting === undefined
          ? { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' }
          : { type: 'Complete', status: 'False', reason: 'Preparing', message: waiting },
        { type: 'Success', status: 'True', reason: 'ResultSuccess', message },
      ]
    }
    case 'Failed':
      return [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
        { type: 'Success', status: 'False', reason: 'ResultFailure', message: result.message },
      ]
    case 'Undecided': {
      const { reason, message } = result
      return [
        { type: 'Complete', status: 'False', reason, message },
        { type: 'Success', status: 'Unknown', reason, message },
      ]
    }
  }
}

/** Optional fields about the node that builds it and about its run. They end when it loses the build. */
export const BUILD_FIELDS = [
  'buildNode',
  'buildJobName',
  'imageDigest',
  'imageSize',
  'storePath',
  'lockedFlakeUrl',
  'startTime',
  'completionTime',
  'progress',
  'logTail',
] as const satisfies readonly (keyof NixBuildStatus)[]

export type BuildField = (typeof BUILD_FIELDS)[number]

/** The fields in a merge patch that removes them. */
export function removeFields(fields: readonly (keyof NixBuildStatus)[] = BUILD_FIELDS): Readonly<Record<string, null>> {
  return Object.fromEntries(fields.map(field => [field, null]))
}
