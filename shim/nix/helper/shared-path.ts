import { RetryableError, ShimError } from '../../../lib/errors.ts'
import { describeRecipe, type FlakeRecipe, type Recipe, recipeKey } from '../../../recipes/recipe.ts'
import { readKnownOutput } from '../evaluate/derivation-file.ts'
import { queryPathInfo } from '../store/query-path-info.ts'
import { fetchArgs } from '../store/realise.ts'
import type { Evaluated } from './messages.ts'
import type { NixSession, NixSetup } from './nix-session.ts'
import type { Evaluation } from './save-result.ts'

/** How a node takes part in sharing. */
export interface SharedBuild {
  /** This node builds nothing. */
  readonly fetchOnly: boolean
  /** Asks the daemon whether this node builds the path. */
  claim(evaluated: Evaluated, signal: AbortSignal): Promise<boolean>
}

/** What this node does about an evaluated recipe. */
export type SharedStep =
  | { readonly kind: 'build' }
  /** Another node may build it. */
  | { readonly kind: 'leave' }
  /** The output was here, and has a gc root now. */
  | { readonly kind: 'kept'; readonly storePath: string }

/** Throws NothingBuilt if only this node could build it, and it must not. */
export async function takeStep(
  setup: NixSetup,
  recipe: FlakeRecipe,
  { evaluation, sharing }: { readonly evaluation: Evaluation; readonly sharing: SharedBuild },
  session: NixSession,
): Promise<SharedStep> {
  const { flake, derivation } = evaluation
  // Attributes of the package say nothing: a flake can set them.
  const known = await readKnownOutput(derivation.drvPath, derivation.output)
  const valid = known === undefined ? [] : await validPaths(setup, [derivation.drvPath, known.path], session.signal)
  // The paths in a file of a derivation are right if that is valid: Nix computes them again when it registers it.
  if (known === undefined || !valid.includes(derivation.drvPath)) {
    if (sharing.fetchOnly) throw nothingBuilt(recipe, NO_PATH)
    return { kind: 'build' }
  }
  const { path: storePath, isFixed } = known
  if (valid.includes(storePath) && (await keep(setup, recipe, storePath, session))) return { kind: 'kept', storePath }
  const evaluated = { runId: session.runId, storePath, isFixed, flake, derivation }
  return { kind: (await sharing.claim(evaluated, session.signal)) ? 'build' : 'leave' }
}

/** Those of the paths that are in Nix's database. A path on disk may be the rest of a copy that was interrupted. */
async function validPaths(
  { dir, user, nix, logger }: NixSetup,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const infos = await queryPathInfo({ dir, user, nix, logger }, paths, {
    recursive: false,
    waitForDaemon: true,
    signal,
  })
  return infos.map(({ path }) => path)
}

/** Gives the path a gc root if it is valid, as another run may have built or copied it. */
export async function keepValid(
  setup: NixSetup,
  recipe: FlakeRecipe,
  storePath: string,
  session: NixSession,
): Promise<boolean> {
  const valid = await validPaths(setup, [storePath], session.signal)
  return valid.includes(storePath) && keep(setup, recipe, storePath, session)
}

/**
 * Gives a valid path a gc root. Nix gets the path itself, not its derivation: so it builds nothing, neither this output nor others.
 * Returns false if the path has been deleted meanwhile.
 */
async function keep(
  { results }: NixSetup,
  recipe: FlakeRecipe,
  storePath: string,
  { nix }: NixSession,
): Promise<boolean> {
  const link = await results.prepareLink(recipeKey(recipe))
  try {
    await nix('building', fetchArgs({ storePath }, link))
    return true
  } catch (error) {
    if (error instanceof ShimError && error.code === 'StorePathMissing') return false
    throw error
  }
}

/** Nix says this if an evaluation needs something that is built first. A flake can throw the same words: then it is only tried again. */
const IMPORTS = /during evaluation because the option 'allow-import-from-derivation' is disabled/

/** The error of an evaluation on a node that builds nothing. */
export function asNothingBuilt(recipe: FlakeRecipe, error: unknown): unknown {
  const isImport = error instanceof ShimError && error.code === 'EvaluationFailed' && IMPORTS.test(error.message)
  return isImport ? nothingBuilt(recipe, 'its evaluation reads what is built first (import from derivation)') : error
}

const NO_PATH = 'its output path is not known before it is built, so other nodes cannot build it for this one'

export function nothingBuilt(recipe: Recipe, why: string): RetryableError {
  const wayOut = 'let its pods run on nodes that build (nix.build in the config)'
  const message = `this node builds nothing, and ${describeRecipe(recipe)} cannot be copied: ${why}: ${wayOut}`
  return new RetryableError('NothingBuilt', message)
}
