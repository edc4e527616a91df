import type { Condition } from '../../kube/resources/condition.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import { CONTROLLER, NODE_LABEL, nixBuildNames, shimFieldManager } from '../../kube/resources/names.ts'
import {
  type Creator,
  creatorOf,
  type NixBuild,
  type NixBuildAttempt,
  type NixBuildNode,
  type NixBuildPhase,
} from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { NIXBUILD_CONDITIONS } from '../../kube/resources/nixbuild-status.ts'
import { messageOf } from '../../lib/errors.ts'
import { cutLines } from '../../lib/text/cut.ts'
import { copyStart } from '../../lib/text/text.ts'
import { type FlakeRecipe, formatRecipe, recipeKey } from '../../recipes/recipe.ts'

/**
 * Later owners are not recorded. The NixBuild is deleted once all recorded owners are gone; pods that still need it
 * then get a new one.
 */
export const MAX_OWNERS = 20
/** Longest kept message of a condition, in characters. A Pod's condition gets less. */
const MAX_MESSAGE = 2048
/** In characters. The text of a package set could be far longer, and each NixBuild is kept in memory. */
const MAX_RECIPE_TEXT = 512

/** The parts of a recipe that the controller needs. */
export interface RecipeView {
  /** The `recipeKey`. */
  readonly key: string
  readonly image: string
  readonly system: string
  /** For people: `formatRecipe`, cut. */
  readonly text: string
}

/** The parts of a NixBuild that the controller needs. Times are in milliseconds. */
export interface NixBuildView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly createdAt: number
  readonly deleting: boolean
  readonly createdBy: Creator
  /** Created for pods, not by hand. */
  readonly createdForPods: boolean
  /** Created by a shim under a name that shims do not use, to block a name or to add many builds of one recipe. */
  readonly forged: boolean
  /** Value of the label that assigns it to a node. */
  readonly assignedTo: string | undefined
  readonly owners: readonly OwnerReference[]
  readonly imageTag: string
  readonly system: string
  readonly nodeSelector: Readonly<Record<string, string>>
  /** The recipe, or why it is invalid. */
  readonly recipe: RecipeView | { readonly problem: string }
  readonly phase: NixBuildPhase | undefined
  readonly buildNode: string | undefined
  /**
   * Last status write by the node that built it, or by the controller that gave it up. The API server's clock decides.
   * The node's own time counts only if the API server has none. Undefined before the first write.
   */
  readonly writtenAt: number | undefined
  readonly nodes: readonly NixBuildNode[]
  readonly attempts: readonly NixBuildAttempt[]
  readonly conditions: readonly Condition[]
}

/** Drops what is not needed, above all the end of the log. */
export function nixBuildView(nixBuild: NixBuild): NixBuildView {
  const { metadata, spec, status } = nixBuild
  const { namespace = '', name, uid, resourceVersion, generation, labels } = metadata
  const createdBy = creatorOf(nixBuild)
  const recipe = readRecipe(nixBuild)
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    generation,
    createdAt: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    createdBy,
    createdForPods: createdBy !== 'hand',
    // A NixBuild with an invalid recipe may come from a newer shim.
    forged: createdBy === 'shim' && !('problem' in recipe) && !nixBuildNames(recipe).includes(name),
    assignedTo: labels[NODE_LABEL],
    owners: metadata.ownerReferences.slice(0, MAX_OWNERS),
    imageTag: spec.imageTag,
    system: spec.system,
    nodeSelector: spec.nodeSelector ?? {},
    recipe: 'problem' in recipe ? recipe : recipeView(recipe),
    phase: status.status,
    buildNode: status.buildNode,
    writtenAt: writtenAt(nixBuild),
    nodes: status.nodes,
    attempts: status.attempts,
    conditions: status.conditions.map(withShortMessage),
  }
}

export function recipeView(recipe: FlakeRecipe): RecipeView {
  const whole = formatRecipe(recipe)
  const text = whole.length > MAX_RECIPE_TEXT ? `${copyStart(whole, MAX_RECIPE_TEXT)}…` : whole
  return { key: recipeKey(recipe), image: recipe.image, system: recipe.system, text }
}

/** Copies the text, as a slice would keep the whole message in memory. */
function withShortMessage(condition: Condition): Condition {
  if (condition.message.length <= MAX_MESSAGE || !NIXBUILD_CONDITIONS.includes(condition.type)) return condition
  return { ...condition, message: copyStart(cutLines(condition.message, MAX_MESSAGE), MAX_MESSAGE + 8) }
}

function writtenAt({ metadata: { creationTimestamp, managedFields = [] }, status }: NixBuild): number | undefined {
  const writer = status.buildNode === undefined ? CONTROLLER : shimFieldManager(status.buildNode)
  const writes = managedFields.filter(({ subresource }) => subresource === 'status')
  const byWriter = latest(writes.filter(({ manager }) => manager === writer).map(({ time }) => time))
  const completed = latest([status.completionTime])
  const lastWrite = byWriter ?? (completed && Math.min(completed, latest(writes.map(({ time }) => time)) ?? completed))
  return lastWrite && Math.max(lastWrite, Date.parse(creationTimestamp))
}

/** The latest time, in milliseconds. */
function latest(times: readonly (string | undefined)[]): number | undefined {
  const known = times.map(time => Date.parse(time ?? '')).filter(at => !Number.isNaN(at))
  return known.length === 0 ? undefined : Math.max(...known)
}

function readRecipe(nixBuild: NixBuild): FlakeRecipe | { readonly problem: string } {
  try {
    return recipeOf(nixBuild)
  } catch (error) {
    return { problem: messageOf(error) }
  }
}
