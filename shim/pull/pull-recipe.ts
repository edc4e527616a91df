import { FinalError, isContainerdAway } from '../../lib/errors.ts'
import type { Owners } from '../../lib/queues/fair-order.ts'
import type { PolicyRule } from '../../recipes/policy/policy.ts'
import { isFlakeRecipe, isLocked, isPackageSet, type Recipe } from '../../recipes/recipe.ts'
import type { Importer, ImportOutcome } from '../import/image/contract.ts'
import type { Builder, BuildOutput } from '../nix/contract.ts'
import type { ImageRecord, ImageRecords, PullOutcome } from './contract.ts'
import { isOfOutput, RECIPE_LABEL, recipeLabels, STORE_PATH_LABEL } from './labels.ts'
import { presentId } from './present-id.ts'
import type { PullProgress } from './progress.ts'
import { whenContainerdAnswers } from './when-containerd-answers.ts'

export interface Stages {
  readonly builder: Builder
  readonly importer: Importer
  readonly images: ImageRecords
}

export interface RecipePull {
  readonly recipe: Recipe
  readonly owners: Owners
  /** The image record of that name, as the caller found it. */
  readonly record: ImageRecord | undefined
  /** The one that allows it. */
  readonly rule: Pick<PolicyRule, 'replaceForeign' | 'plainPackages' | 'maxImageSize'>
  readonly signal: AbortSignal
  readonly onProgress: (progress: PullProgress) => void
}

/** Makes the image of a recipe be there, doing as little as can be done. */
export async function pullRecipe(stages: Stages, pull: RecipePull): Promise<PullOutcome> {
  const { recipe, record, onProgress } = pull
  const known = isLocked(recipe) && (await presentId(stages.images, record, pull))
  if (known) {
    onProgress({ phase: 'present' })
    return { imageId: known, storePath: record?.labels[STORE_PATH_LABEL], present: true }
  }
  const output = await build(stages.builder, pull)
  onProgress({ phase: 'built', storePath: output.storePath })
  const kept = await builtBefore(stages, pull, output)
  if (kept) return { ...output, imageId: kept, present: true }
  return { ...output, imageId: await importOutput(stages, pull, output), present: false }
}

async function build(builder: Builder, pull: RecipePull) {
  return (await builder.findResult(pull.recipe)) ?? builder.build(pull.recipe, pull)
}

/** The build may have taken an hour: the record is read again, and an image that is just this output is kept. */
async function builtBefore(stages: Stages, pull: RecipePull, output: BuildOutput): Promise<string | undefined> {
  const record = await whenContainerdAnswers(() => stages.images.find(pull.recipe.image), pull.signal)
  const id = record && isOfOutput(record, output) ? await presentId(stages.images, record, pull) : undefined
  if (id) pull.onProgress({ phase: 'present' })
  return id
}

/** An import that containerd left in the lurch is begun again: a restart of containerd is no reason to fail a pull. */
const IMPORT_TRIES = 3

/** Where the package is a program, it is run by Nix, as a build, and what it writes is imported in its place. */
async function importOutput(stages: Stages, pull: RecipePull, output: BuildOutput): Promise<string> {
  const outcome = await tryImport(stages.importer, pull, output)
  if ('imageId' in outcome) return outcome.imageId
  // Whoever names a store path has not had it built by a rule that trusts its flake.
  if (!isFlakeRecipe(pull.recipe))
    throw new FinalError(
      'NotAnImage',
      'the package is no image: it is a program, and none is run for an image that is named after its store path',
    )
  return stages.builder.withArchive(outcome.program, pull, async archive => {
    const imported = await tryImport(stages.importer, pull, { ...output, archive })
    if ('imageId' in imported) return imported.imageId
    throw new Error('the importer takes an archive for a program')
  })
}

type ImportInput = BuildOutput & { readonly archive?: string }

async function tryImport(importer: Importer, pull: RecipePull, output: ImportInput): Promise<ImportOutcome> {
  const { recipe, rule, owners, signal, onProgress } = pull
  const { replaceForeign, plainPackages, maxImageSize } = rule
  const { storePath, archive, package: hints = {} } = output
  const records = {
    image: recipe.image,
    labels: recipeLabels(recipe, output),
    ownedBy: RECIPE_LABEL,
    replaceForeign,
    archive,
    plainPackage: plainPackages ? hints : undefined,
    packageSet: isPackageSet(recipe) ? hints : undefined,
    maxImageSize,
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return await importer.importImage({ storePath, ...records, owners, signal, onProgress })
    } catch (error) {
      if (!isContainerdAway(error) || tries === IMPORT_TRIES || signal.aborted) throw error
    }
  }
}
