import { AnswerTooLarge } from '../../../kube/client/answer-body.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { FinalError, ShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { referenceAliases } from '../../../recipes/reference-aliases.ts'

export interface ImageQuery {
  readonly namespace: string
  /** Normalized reference. */
  readonly image: string
  readonly signal?: AbortSignal
}

/** Far more than remain after unused NixBuilds have been cleaned up. */
const MAX_OF_IMAGE = 500
/** In characters, for each spelling of the image. A tenant can make each NixBuild as large as an object may be. */
const MAX_LENGTH = 16 * 1024 * 1024

/**
 * Lists a namespace's NixBuilds of an image in any spelling, reduced to their recipes. Throws RecipeConflict if there
 * are too many: a pull that ignored them could fetch a stranger's image from a registry.
 */
export async function listRecipes(kube: Pick<Kube, 'list'>, query: ImageQuery): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await listBounded(kube, query, item => found.push({ ...withoutUnreadFields(item), status: EMPTY }))
  return found
}

const EMPTY = { conditions: [], attempts: [] }

/** Drops fields that the shim does not read, because a tenant can fill them up to the size limit of an object. */
function withoutUnreadFields(nixBuild: NixBuild): NixBuild {
  return { ...nixBuild, metadata: { ...nixBuild.metadata, ownerReferences: [] } }
}

/** The selector leaves out NixBuilds of recipes that only a shim has told: a compromised node could tell any number of them. */
async function listBounded(
  kube: Pick<Kube, 'list'>,
  { namespace, image, signal }: ImageQuery,
  onItem: (item: NixBuild) => void,
): Promise<void> {
  let count = 0
  const countItem = (item: NixBuild) => {
    count += 1
    if (count > MAX_OF_IMAGE) throw tooMany(namespace, image)
    onItem(item)
  }
  const options = { signal, maxLength: MAX_LENGTH }
  const labelSelector = `${MANAGED_BY_LABEL}!=${SHIM}`
  const list = (spelling: string) =>
    kube.list(nixBuilds, { namespace, labelSelector, fieldSelector: `spec.imageTag=${spelling}` }, countItem, options)
  try {
    await Promise.all(referenceAliases(image).map(list))
  } catch (error) {
    if (error instanceof ShimError && error.cause instanceof AnswerTooLarge) throw tooMany(namespace, image, error)
    throw error
  }
}

function tooMany(namespace: string, image: string, cause?: unknown): FinalError {
  const most = `more than ${MAX_OF_IMAGE} NixBuilds of the image ${quote(image)}, or too large ones`
  const message = `namespace ${quote(namespace)} has ${most}: delete those that are no longer needed`
  return new FinalError('RecipeConflict', message, { cause })
}
