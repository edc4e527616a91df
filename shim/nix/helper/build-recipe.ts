import { lstat } from 'node:fs/promises'
import { ShimError } from '../../../lib/errors.ts'
import { type FlakeUrl, lockFlake } from '../../../recipes/flake-url.ts'
import {
  describeRecipe,
  type FlakeRecipe,
  isFlakeRecipe,
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
  readLock,
} from '../evaluate/evaluate.ts'
import { checkContent, prefetchArgs, urlForNix } from '../evaluate/flake-address.ts'
import { addMissingPaths, fetchArgs, readRealisation, realisationArgs } from '../store/realise.ts'
import type { BuildResult } from '../store/results.ts'
import type { Evaluated } from './messages.ts'
import { type NixRunCall, type NixSession, type NixSetup, withNix } from './nix-session.ts'
import { type Evaluation, type Made, madeOf, saveResult } from './save-result.ts'
import { asNothingBuilt, keepValid, nothingBuilt, type SharedBuild, takeStep } from './shared-path.ts'

/** A recipe, and the content to build if its flake is not locked. See the schema of a job. */
export interface WantedBuild {
  readonly recipe: Recipe
  readonly content?: FlakeUrl | 'current' | undefined
  /** Continues the run that evaluated it. */
  readonly evaluated?: Evaluated | undefined
  readonly fetchOnly?: boolean | undefined
  /** If missing, this node builds without asking. */
  readonly sharing?: SharedBuild | undefined
}

/**
 * Makes a recipe: evaluates the flake if there is one, realises the package, and remembers the result. Undefined if the daemon says
 * that this node does not build now. Throws a ShimError.
 */
export async function buildRecipe(
  setup: NixSetup,
  wanted: WantedBuild,
  call: NixRunCall,
): Promise<BuildResult | undefined> {
  const { recipe, evaluated } = wanted
  return withNix(setup, { recipe, what: 'build', runId: evaluated?.runId }, call, async session => {
    const made = await (isFlakeRecipe(recipe)
      ? buildPackage(setup, recipe, wanted, session)
      : fetchStorePath(setup, recipe, session))
    return made && saveResult(setup.results, recipe, session.runId, made)
  })
}

async function buildPackage(
  setup: NixSetup,
  recipe: FlakeRecipe,
  { content, evaluated, fetchOnly, sharing }: WantedBuild,
  session: NixSession,
): Promise<Made | undefined> {
  if (evaluated && (await keepValid(setup, recipe, evaluated.storePath, session)))
    return madeOf(recipe, evaluated, { storePath: evaluated.storePath, output: 'out' })
  if (evaluated && fetchOnly) throw nothingBuilt(recipe, 'it is not in the Nix store of this node')
  const evaluateNow = () =>
    evaluateFirst(setup, recipe, content, session).catch(error => {
      throw sharing?.fetchOnly ? asNothingBuilt(recipe, error) : error
    })
  const evaluation = (await stillThere(evaluated)) ?? (await evaluateNow())
  const { output } = evaluation.derivation
  const step = sharing && (await takeStep(setup, recipe, { evaluation, sharing }, session))
  if (step?.kind === 'leave') return undefined
  if (step?.kind === 'kept') return madeOf(recipe, evaluation, { storePath: step.storePath, output: 'out' })
  return madeOf(recipe, evaluation, {
    storePath: await realiseEvaluated(setup, recipe, session, { evaluation, evaluateAgain: evaluateNow }),
    output,
  })
}

/** Nix may have collected the derivation while the run waited. Then it is evaluated again. */
async function stillThere<Known extends Pick<Evaluation, 'derivation'>>(
  evaluated: Known | undefined,
): Promise<Known | undefined> {
  if (evaluated === undefined) return undefined
  return lstat(evaluated.derivation.drvPath).then(
    () => evaluated,
    () => undefined,
  )
}

interface Realisation {
  readonly evaluation: Evaluation
  readonly evaluateAgain: () => Promise<Evaluation>
}

/** Nothing holds a derivation between the command that evaluates it and the one that builds it: Nix may collect it there. */
async function realiseEvaluated(
  setup: NixSetup,
  recipe: FlakeRecipe,
  session: NixSession,
  { evaluation, evaluateAgain }: Realisation,
): Promise<string> {
  try {
    return await realise(setup, recipe, session, evaluation.derivation)
  } catch (error) {
    if (session.signal.aborted || (await stillThere(evaluation))) throw error
    return realise(setup, recipe, session, (await evaluateAgain()).derivation)
  }
}

async function evaluateFirst(
  setup: NixSetup,
  recipe: FlakeRecipe,
  content: WantedBuild['content'],
  session: NixSession,
): Promise<Evaluation> {
  const { runId, onProgress } = session
  onProgress({ phase: 'evaluating', runId })
  return evaluateContent(setup, recipe, content, session)
}

/** Evaluates the given content of an unlocked flake, or its current one if none is given, or it is gone. */
async function evaluateContent(
  setup: NixSetup,
  recipe: FlakeRecipe,
  content: WantedBuild['content'],
  session: NixSession,
): Promise<Evaluation> {
  const { runId, onProgress } = session
  const evaluateAt = async (flake: FlakeUrl) => {
    if (flake.locked && !recipe.flake.locked) onProgress({ phase: 'evaluating', runId, lockedFlakeUrl: flake.url })
    return { flake, derivation: await evaluate(setup, recipe, flake, session) }
  }
  if (recipe.flake.locked) {
    await checkLockedContent(recipe, recipe.flake, session)
    return evaluateAt(recipe.flake)
  }
  if (content === undefined) return evaluateAt(recipe.flake)
  if (content !== 'current') {
    try {
      await checkLockedContent(recipe, content, session)
      return await evaluateAt(content)
    } catch (error) {
      if (session.signal.aborted || !isGone(error)) throw error
      onProgress({
        phase: 'log',
        line: `${content.url} cannot be fetched: building what ${recipe.flake.url} is now`,
      })
    }
  }
  const current = await lockNow(setup, recipe.flake, session)
  return evaluateAt(current ?? recipe.flake)
}

function isGone(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'FlakeNotFound' || error.code === 'FetchFailed')
}

/** Undefined if nix does not tell: the evaluation that follows finds the cause. */
async function lockNow({ user }: NixSetup, flake: FlakeUrl, session: NixSession): Promise<FlakeUrl | undefined> {
  const url = await urlForNix(flake, user, session.signal)
  try {
    return lockFlake(flake, readLock(url, await session.nix('evaluating', lockArgs(url))).locked)
  } catch (error) {
    if (session.signal.aborted) throw error
    return undefined
  }
}

async function checkLockedContent(recipe: FlakeRecipe, flake: FlakeUrl, { nix }: NixSession): Promise<void> {
  const { content } = flake
  if (content) checkContent({ ...recipe, flake }, content, await nix('evaluating', prefetchArgs(content)))
}

async function evaluate(
  { user, nix, dir }: NixSetup,
  recipe: FlakeRecipe,
  flake: FlakeUrl,
  session: NixSession,
): Promise<Derivation> {
  const url = await urlForNix(flake, user, session.signal)
  const folders = [dir.root, STORE_DIR]
  const first = evaluationArgs(recipe, { url, leadingDot: nix.leadingDot })
  const stdout = await callEvaluation(session, folders, url, first).catch(async error => {
    // Without a leading dot, nix also evaluates `legacyPackages`, and fails if that throws although the recipe does not need it.
    if (!(error instanceof ShimError) || error.code !== 'EvaluationFailed') throw error
    if (nix.leadingDot || !canBeLocked(url)) throw error
    const { url: lockedUrl } = readLock(url, await session.nix('evaluating', lockArgs(url)))
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
