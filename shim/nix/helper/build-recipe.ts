import { ShimError } from '../../../lib/errors.ts'
import {
  describeRecipe,
  type FlakeRecipe,
  isFlakeRecipe,
  packagesOf,
  type Recipe,
  recipeKey,
  type StorePathRecipe,
} from '../../../recipes/recipe.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import type { Derivation } from '../evaluate/derivation.ts'
import {
  canBeLocked,
  evaluateConfirmed,
  evaluationArgs,
  fetchAllArgs,
  isDiskFull,
  lockArgs,
  lockedEvaluationArgs,
  readEvaluation,
  readLockedUrl,
} from '../evaluate/evaluate.ts'
import { checkContent, prefetchArgs, urlForNix } from '../evaluate/flake-address.ts'
import { addMissingPaths, fetchArgs, readRealisation, realisationArgs } from '../store/realise.ts'
import type { BuildResult, SavedResult } from '../store/results.ts'
import { type NixRunCall, type NixSession, type NixSetup, withNix } from './nix-session.ts'

/** Makes a recipe: evaluates the flake if there is one, realises the package, and remembers the result. Throws a ShimError. */
export function buildRecipe(setup: NixSetup, recipe: Recipe, call: NixRunCall): Promise<BuildResult> {
  return withNix(setup, { recipe, what: 'build' }, call, async session => {
    const made = await (isFlakeRecipe(recipe)
      ? buildPackage(setup, recipe, session)
      : fetchStorePath(setup, recipe, session))
    const { runId } = session
    await setup.results.save(recipeKey(recipe), { ...made, runId })
    return { storePath: made.storePath, runId, ...(made.package && { package: made.package }) }
  })
}

type Made = Omit<SavedResult, 'runId'>

async function buildPackage(setup: NixSetup, recipe: FlakeRecipe, session: NixSession): Promise<Made> {
  const { runId, onProgress } = session
  onProgress({ phase: 'evaluating', runId })
  await checkLockedContent(recipe, session)
  const derivation = await evaluate(setup, recipe, session)
  const storePath = await realise(setup, recipe, session, derivation)
  const { output, package: hints } = derivation
  return { storePath, output, flake: recipe.flake.url, ...packagesOf(recipe), ...(hints && { package: hints }) }
}

async function checkLockedContent(recipe: FlakeRecipe, { nix }: NixSession): Promise<void> {
  const { content } = recipe.flake
  if (content) checkContent(recipe, content, await nix('evaluating', prefetchArgs(content)))
}

async function evaluate({ user, nix, dir }: NixSetup, recipe: FlakeRecipe, session: NixSession): Promise<Derivation> {
  const url = await urlForNix(recipe.flake, user, session.signal)
  const folders = [dir.root, STORE_DIR]
  const first = evaluationArgs(recipe, { url, leadingDot: nix.leadingDot })
  const stdout = await callEvaluation(session, folders, url, first).catch(async error => {
    // Without a leading dot, nix also evaluates `legacyPackages`, and fails if that throws although the recipe does not need it.
    if (!(error instanceof ShimError) || error.code !== 'EvaluationFailed') throw error
    if (nix.leadingDot || !canBeLocked(url)) throw error
    const lockedUrl = readLockedUrl(url, await session.nix('evaluating', lockArgs(url)))
    return callEvaluation(session, folders, lockedUrl, lockedEvaluationArgs(recipe, lockedUrl))
  })
  return readEvaluation(recipe, stdout)
}

/** `folders`: an evaluation writes to their disks. */
function callEvaluation(
  { retryOutages, signal }: NixSession,
  folders: readonly string[],
  url: string,
  args: readonly string[],
): Promise<string> {
  return retryOutages(nix =>
    evaluateConfirmed({
      evaluate: more => nix('evaluating', args, more),
      fetchAll: async () => void (await nix('evaluating', fetchAllArgs(url))),
      isDiskFull: () => isDiskFull(folders),
      signal,
    }),
  )
}

async function realise(
  { results }: NixSetup,
  recipe: FlakeRecipe,
  { nix }: NixSession,
  derivation: Derivation,
): Promise<string> {
  const link = await results.prepareLink(recipeKey(recipe))
  const stdout = await nix('building', realisationArgs(derivation, link))
  return readRealisation(describeRecipe(recipe), derivation.output, stdout)
}

async function fetchStorePath(setup: NixSetup, recipe: StorePathRecipe, session: NixSession): Promise<Made> {
  session.onProgress({ phase: 'fetching', doneBytes: 0, expectedBytes: 0 })
  const link = await setup.results.prepareLink(recipeKey(recipe))
  await session.nix('building', fetchArgs(recipe, link)).catch(async error => {
    throw await addMissingPaths(setup, recipe, error, session.signal)
  })
  return { storePath: recipe.storePath, output: 'out' }
}
