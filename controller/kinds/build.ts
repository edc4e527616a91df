import type { Condition } from '../../kube/condition.ts'
import type { OwnerReference } from '../../kube/metadata.ts'
import { CONTROLLER, NODE_LABEL, shimFieldManager } from '../../kube/names.ts'
import {
  isManaged,
  type NixBuild,
  type NixBuildAttempt,
  type NixBuildNode,
  type NixBuildPhase,
} from '../../kube/nixbuild.ts'
import { recipeOf } from '../../kube/nixbuild-recipe.ts'
import { recipeKey } from '../../shim/build/recipe.ts'
import { messageOf } from '../../shim/errors.ts'

/** A NixBuild, as far as the controller cares. Times in milliseconds. */
export interface BuildView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly createdAt: number
  readonly deleting: boolean
  /** Made for pods, not by hand. */
  readonly managed: boolean
  /** Value of the label that gives it to a node. */
  readonly givenTo: string | undefined
  readonly owners: readonly OwnerReference[]
  readonly imageTag: string
  readonly system: string
  /** `recipeKey` of what it is to build, or why that cannot be read. */
  readonly recipe: { readonly key: string; readonly image: string } | { readonly problem: string }
  readonly phase: NixBuildPhase | undefined
  readonly buildNode: string | undefined
  /** By the clock of the node that built it. */
  readonly completedAt: number | undefined
  /** When who built it, or gave it up, wrote its status last: by the API server's clock, as far as that is known. */
  readonly writtenAt: number | undefined
  readonly nodes: readonly NixBuildNode[]
  readonly attempts: readonly NixBuildAttempt[]
  readonly conditions: readonly Condition[]
}

/** Keeps what is needed; the end of a log, above all, is not. */
export function buildView(nixBuild: NixBuild): BuildView {
  const { metadata, spec, status } = nixBuild
  const { namespace = '', name, uid, resourceVersion, generation, labels } = metadata
  const completedAt = status.completionTime === undefined ? undefined : Date.parse(status.completionTime)
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    generation,
    createdAt: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    managed: isManaged(nixBuild),
    givenTo: labels[NODE_LABEL],
    owners: metadata.ownerReferences,
    imageTag: spec.imageTag,
    system: spec.system,
    recipe: readRecipe(nixBuild),
    phase: status.status,
    buildNode: status.buildNode,
    completedAt,
    writtenAt: writtenAt(nixBuild) ?? completedAt,
    nodes: status.nodes,
    attempts: status.attempts,
    conditions: status.conditions,
  }
}

export function isFinished({ phase }: BuildView): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

function writtenAt({ metadata: { managedFields = [] }, status: { buildNode } }: NixBuild): number | undefined {
  const writer = buildNode === undefined ? CONTROLLER : shimFieldManager(buildNode)
  const times = managedFields
    .filter(({ manager, subresource }) => manager === writer && subresource === 'status')
    .flatMap(({ time }) => (time === undefined ? [] : Date.parse(time)))
  return times.length === 0 ? undefined : Math.max(...times)
}

function readRecipe(nixBuild: NixBuild): BuildView['recipe'] {
  try {
    const recipe = recipeOf(nixBuild)
    return { key: recipeKey(recipe), image: recipe.image }
  } catch (error) {
    return { problem: messageOf(error) }
  }
}
