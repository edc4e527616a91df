import { retry } from '../../lib/async/retry.ts'
import { FinalError, isContainerdAway } from '../../lib/errors.ts'
import { isFlakeRecipe, isPackageSet } from '../../recipes/recipe.ts'
import type { Importer, ImportOutcome } from '../import/image/contract.ts'
import type { BuildResult } from '../nix/store/results.ts'
import type { Run, Stages } from './contract.ts'
import { RECIPE_LABEL, recipeLabels } from './image-of-recipe.ts'

/**
 * Imports a build result and returns the image id. If the package is a program, Nix first runs the program as a build, and the
 * shim imports the archive that it writes.
 */
export async function importResult({ importer, builder }: Stages, run: Run, result: BuildResult): Promise<string> {
  const outcome = await tryImport(importer, run, result)
  if ('imageId' in outcome) return outcome.imageId
  // A rule that allows a store path need not trust the flake that the path comes from.
  if (!isFlakeRecipe(run.recipe))
    throw new FinalError(
      'NotAnImage',
      'the package is not an image: it is a program, and the shim runs no program for an image that is named after its store path',
    )
  return builder.withArchive(outcome.program, run, async archive => {
    const imported = await tryImport(importer, run, { ...result, archive })
    if ('imageId' in imported) return imported.imageId
    throw new Error('the importer takes an archive for a program')
  })
}

/** If containerd restarts, the import begins again instead of failing the pull. */
const IMPORT_TRIES = 3

type ImportInput = BuildResult & { readonly archive?: string }

function tryImport(importer: Importer, run: Run, result: ImportInput): Promise<ImportOutcome> {
  const call = importCall(run, result)
  return retry(() => importer.importImage(call), {
    isTemporary: error => isContainerdAway(error) && !run.signal.aborted,
    beforeNext: async (failures, error) => {
      if (failures === IMPORT_TRIES) throw error
    },
  })
}

function importCall({ recipe, terms, owners, signal, onProgress }: Run, result: ImportInput) {
  const { storePath, archive, package: hints = {} } = result
  return {
    storePath,
    image: recipe.image,
    labels: recipeLabels(recipe, result),
    ownedBy: RECIPE_LABEL,
    replaceForeign: terms.replaceForeign,
    archive,
    plainPackage: terms.plainPackages ? hints : undefined,
    packageSet: isPackageSet(recipe) ? hints : undefined,
    maxImageSize: terms.maxImageSize,
    owners,
    signal,
    onProgress,
  }
}
