import { createHash } from 'node:crypto'
import { quote } from '../../lib/text/quote.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'

/** Namespace of the controller and of all Leases. */
export const SYSTEM_NAMESPACE = 'enbi-system'
/** Namespace of claims and slots: the Leases by which nodes agree on builds and on copies from each other. */
export const CLAIMS_NAMESPACE = 'enbi-claims'
/** Label of these Leases: CLAIM_OF_PATH or CLAIM_OF_SLOT. */
export const CLAIM_LABEL = 'enbi.hrzn.ee/claim'
export const CLAIM_OF_PATH = 'path'
export const CLAIM_OF_SLOT = 'slot'
/** Annotation of a claim: the store path that it is about. */
export const STORE_PATH_ANNOTATION = 'enbi.hrzn.ee/store-path'
/**
 * Label of a NixBuild that was created for pods, not by hand. Its value is CONTROLLER if a pod's annotations have the
 * recipe, and SHIM if only a shim knows it.
 */
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by'
export const CONTROLLER = 'enbi-controller'
export const SHIM = 'enbi-shim'
/** Annotation of a Node that the cluster autoscaler must not remove. */
export const KEEP_NODE_ANNOTATION = 'cluster-autoscaler.kubernetes.io/scale-down-disabled'
/** Annotation of a Node whose KEEP_NODE_ANNOTATION is the controller's, not a user's. */
export const KEPT_BY_US_ANNOTATION = 'enbi.hrzn.ee/scale-down-disabled'
/** Type of the pod condition. */
export const IMAGE_BUILT_CONDITION = 'enbi.hrzn.ee/ImageBuilt'

/** Longest name of a node that a field manager has whole. */
const MAX_NODE_NAME = 63
const MAX_PREFIX = 40
const HASH_LENGTH = 16

/** Number of candidate names of a NixBuild. */
const NAMES = 4

/**
 * Candidate names of a recipe's NixBuild, such as `web-3f2a…` for the image `registry.example/team/web:1`. All creators
 * try the same names, as users may have taken some of them for other recipes.
 */
export function nixBuildNames(recipe: FlakeRecipe): readonly [string, ...string[]] {
  const key = recipeKey(recipe)
  const others = Array.from({ length: NAMES - 1 }, (_, index) => hashOf(`${key}/${index + 1}`))
  const prefix = namePrefix(recipe)
  return [`${prefix}-${key.slice(0, HASH_LENGTH)}`, ...others.map(hash => `${prefix}-${hash}`)]
}

/** The first of `nixBuildNames`. */
export function nixBuildName(recipe: FlakeRecipe): string {
  return nixBuildNames(recipe)[0]
}

/** For people: other NixBuilds have all candidate names of the recipe. */
export function describeTakenNames(recipe: FlakeRecipe, namespace: string): string {
  const where = `${quote(nixBuildName(recipe))} of namespace ${quote(namespace)}`
  return `the NixBuild ${where} and its alternatives have other recipes than ${recipe.image}, which needs one of the names: delete one of them`
}

function namePrefix(recipe: FlakeRecipe): string {
  const [named = ''] = recipe.image.split('@', 1)
  const repository = named.replace(/:[^/]*$/, '')
  const last = repository.slice(repository.lastIndexOf('/') + 1)
  const prefix = last
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_PREFIX)
    .replace(/^-+|-+$/g, '')
  return prefix || 'image'
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH)
}

/** Name of a shim's Lease in SYSTEM_NAMESPACE. */
export function shimLeaseName(node: string): string {
  return `${SHIM}-${node}`
}

/** Field manager of a node's shim. deploy/base/shim-admission.yaml knows it, too. The API server's limit is 128 characters. */
export function shimFieldManager(node: string): string {
  if (node.length <= MAX_NODE_NAME) return `${SHIM}-${node}`
  return `${SHIM}-${node.slice(0, MAX_NODE_NAME - HASH_LENGTH - 1)}-${hashOf(node)}`
}
