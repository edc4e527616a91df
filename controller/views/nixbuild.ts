import type { Condition } from '../../kube/resources/condition.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import { CONTROLLER, NODE_LABEL, nixBuildNames, shimFieldManager } from '../../kube/resources/names.ts'
import {
  type Maker,
  makerOf,
  type NixBuild,
  type NixBuildAttempt,
  type NixBuildNode,
  type NixBuildPhase,
} from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { messageOf } from '../../lib/errors.ts'
import { cutLines } from '../../lib/text/cut.ts'
import { copyStart } from '../../lib/text/text.ts'
import { type FlakeRecipe, formatRecipe, recipeKey } from '../../recipes/recipe.ts'
import { MAX_OWNERS } from './owners.ts'

/** Of a condition, in characters; a Pod's condition gets less. */
const MAX_MESSAGE = 2048
/** Of what is built, in characters: the packages of a set alone may be far longer, and each NixBuild is kept in memory. */
const MAX_RECIPE_TEXT = 512
/** Conditions that are written anew as a whole. */
const OURS: readonly string[] = ['Complete', 'Success']

/** A recipe, as far as the controller cares, which makes nothing of it. */
export interface RecipeView {
  /** Its `recipeKey`. */
  readonly key: string
  readonly image: string
  readonly system: string
  /** For a person: as `formatRecipe`, cut. */
  readonly text: string
}

/** A NixBuild, as far as the controller cares. Times in milliseconds. */
export interface BuildView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly createdAt: number
  readonly deleting: boolean
  readonly madeBy: Maker
  /** Made for pods, not by hand. */
  readonly managed: boolean
  /** Made by a shim, but not under a name that shims give: to be in the way, or to be counted for a recipe many times. */
  readonly forged: boolean
  /** Value of the label that gives it to a node. */
  readonly assignedTo: string | undefined
  readonly owners: readonly OwnerReference[]
  readonly imageTag: string
  readonly system: string
  /** What it is to build, or why that cannot be read. */
  readonly recipe: RecipeView | { readonly problem: string }
  readonly phase: NixBuildPhase | undefined
  readonly buildNode: string | undefined
  /**
   * When who built it, or gave it up, wrote its status last: by the API server's clock. A node's own word, which may be any time, counts
   * only where the API server does not tell. undefined while nobody has written it.
   */
  readonly writtenAt: number | undefined
  readonly nodes: readonly NixBuildNode[]
  readonly attempts: readonly NixBuildAttempt[]
  readonly conditions: readonly Condition[]
}

/** Keeps what is needed; the end of a log, above all, is not. */
export function buildView(nixBuild: NixBuild): BuildView {
  const { metadata, spec, status } = nixBuild
  const { namespace = '', name, uid, resourceVersion, generation, labels } = metadata
  const madeBy = makerOf(nixBuild)
  const recipe = readRecipe(nixBuild)
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    generation,
    createdAt: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    madeBy,
    managed: madeBy !== 'hand',
    // One whose recipe cannot be read may be a newer shim's.
    forged: madeBy === 'shim' && !('problem' in recipe) && !nixBuildNames(recipe).includes(name),
    assignedTo: labels[NODE_LABEL],
    owners: metadata.ownerReferences.slice(0, MAX_OWNERS),
    imageTag: spec.imageTag,
    system: spec.system,
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

/** A copy: a mere slice would keep the whole. */
function withShortMessage(condition: Condition): Condition {
  if (condition.message.length <= MAX_MESSAGE || !OURS.includes(condition.type)) return condition
  return { ...condition, message: copyStart(cutLines(condition.message, MAX_MESSAGE), MAX_MESSAGE + 8) }
}

export function isFinished({ phase }: BuildView): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

function writtenAt({ metadata: { creationTimestamp, managedFields = [] }, status }: NixBuild): number | undefined {
  const writer = status.buildNode === undefined ? CONTROLLER : shimFieldManager(status.buildNode)
  const writes = managedFields.filter(({ subresource }) => subresource === 'status')
  const byWriter = latest(writes.filter(({ manager }) => manager === writer).map(({ time }) => time))
  const said = latest([status.completionTime])
  const told = byWriter ?? (said && Math.min(said, latest(writes.map(({ time }) => time)) ?? said))
  return told && Math.max(told, Date.parse(creationTimestamp))
}

/** In milliseconds. */
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
