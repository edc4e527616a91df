import { createHash } from 'node:crypto'
import type { Condition } from '../../kube/resources/condition.ts'
import { type LabelMatcher, labelMatcher } from '../../kube/resources/label-selector.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import {
  type Creator,
  creatorOf,
  type NixBuild,
  type NixBuildAttempt,
  type NixBuildPhase,
  type NixBuildStatus,
} from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { type BuildField, NIXBUILD_CONDITIONS } from '../../kube/resources/nixbuild-status.ts'
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
  readonly owners: readonly OwnerReference[]
  readonly imageTag: string
  readonly system: string
  readonly nodeSelector: Readonly<Record<string, string>>
  /** Selects the nodes that get the image ahead of pods; undefined: none. */
  readonly nodes: LabelMatcher | undefined
  /** The recipe, or why it is invalid. */
  readonly recipe: RecipeView | { readonly problem: string }
  readonly phase: NixBuildPhase | undefined
  readonly buildNode: string | undefined
  /** When it finished, by the controller's clock. */
  readonly finishedAt: number | undefined
  readonly fields: StatusFields
  /** Stands for the end of the log that is written, see `logId`. */
  readonly logId: string | undefined
  readonly attempts: readonly NixBuildAttempt[]
  readonly conditions: readonly Condition[]
}

/** Identifies a recipe of a namespace. */
export function recipeId(namespace: string, recipeKey: string): string {
  return `${namespace}/${recipeKey}`
}

/** What is written about the nodes, except the end of a log. */
export type StatusFields = Pick<NixBuildStatus, WrittenField>
type WrittenField = Exclude<BuildField, 'logTail'> | 'observedGeneration' | NodeGroup
export type NodeGroup = (typeof NODE_GROUPS)[number]

export const NODE_GROUPS = [
  'ready',
  'building',
  'failed',
  'selected',
  'missing',
] as const satisfies readonly (keyof NixBuildStatus)[]

/** Drops what is not needed, above all the end of the log. */
export function nixBuildView(nixBuild: NixBuild): NixBuildView {
  const { metadata, spec, status } = nixBuild
  const { namespace = '', name, uid, resourceVersion, generation } = metadata
  const { logTail, status: phase, conditions, attempts, ...fields } = status
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
    owners: metadata.ownerReferences.slice(0, MAX_OWNERS),
    imageTag: spec.imageTag,
    system: spec.system,
    nodeSelector: spec.nodeSelector ?? {},
    nodes: spec.nodes && labelMatcher(spec.nodes),
    recipe: 'problem' in recipe ? recipe : recipeView(recipe),
    phase,
    buildNode: fields.buildNode,
    finishedAt: finishedAt(nixBuild),
    fields,
    logId: logId(logTail),
    attempts,
    conditions: conditions.map(withShortMessage),
  }
}

/** A hash: the log itself is not kept in memory. */
export function logId(logTail: string | undefined): string | undefined {
  return logTail === undefined ? undefined : createHash('sha256').update(logTail).digest('base64').slice(0, 12)
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

/** Not before it was created. An older shim has written its own time. */
function finishedAt({ metadata, status: { completionTime = '' } }: NixBuild): number | undefined {
  const at = Date.parse(completionTime)
  return Number.isNaN(at) ? undefined : Math.max(at, Date.parse(metadata.creationTimestamp))
}

function readRecipe(nixBuild: NixBuild): FlakeRecipe | { readonly problem: string } {
  try {
    return recipeOf(nixBuild)
  } catch (error) {
    return { problem: messageOf(error) }
  }
}
