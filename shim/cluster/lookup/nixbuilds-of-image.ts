import { AnswerTooLarge } from '../../../kube/client/answer-body.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { FinalError, ShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { readableReference } from '../../../recipes/reference.ts'
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

/** Namespaces with fewer NixBuilds are read whole rather than once for each spelling of an image. */
const FEW = 20

/** The selector leaves out NixBuilds of recipes that only a shim has told: a compromised node could tell any number of them. */
const labelSelector = `${MANAGED_BY_LABEL}!=${SHIM}`

/**
 * Lists a namespace's NixBuilds of an image in any spelling, reduced to their recipes. Throws RecipeConflict if there
 * are too many: a pull that ignored them could fetch a stranger's image from a registry.
 */
export async function listRecipes(kube: Pick<Kube, 'list'>, query: ImageQuery): Promise<NixBuild[]> {
  const { namespace, image, signal } = query
  const spellings = referenceAliases(image)
  try {
    // A field selector takes one value.
    const few = spellings.length > 1 ? await listFew(kube, namespace, signal) : undefined
    if (few) return few.filter(({ spec }) => readableReference(spec.imageTag) === image)
    return await listSpellings(kube, query, spellings)
  } catch (error) {
    if (isTooLarge(error)) throw tooMany(namespace, image, error)
    throw error
  }
}

/** All NixBuilds of the namespace. Undefined if they are not few. */
async function listFew(
  kube: Pick<Kube, 'list'>,
  namespace: string,
  signal: AbortSignal | undefined,
): Promise<NixBuild[] | undefined> {
  const found: NixBuild[] = []
  const more = new Error('there are more')
  const add = (item: NixBuild) => {
    if (found.push(withoutUnreadFields(item)) > FEW) throw more
  }
  try {
    await kube.list(nixBuilds, { namespace, labelSelector }, add, { signal, maxLength: MAX_LENGTH, pageSize: FEW + 1 })
    return found
  } catch (error) {
    if (error === more || isTooLarge(error)) return undefined
    throw error
  }
}

async function listSpellings(
  kube: Pick<Kube, 'list'>,
  { namespace, image, signal }: ImageQuery,
  spellings: readonly string[],
): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  const add = (item: NixBuild) => {
    if (found.push(withoutUnreadFields(item)) > MAX_OF_IMAGE) throw tooMany(namespace, image)
  }
  const options = { signal, maxLength: MAX_LENGTH }
  const list = (spelling: string) =>
    kube.list(nixBuilds, { namespace, labelSelector, fieldSelector: `spec.imageTag=${spelling}` }, add, options)
  await Promise.all(spellings.map(list))
  return found
}

function isTooLarge(error: unknown): boolean {
  return error instanceof ShimError && error.cause instanceof AnswerTooLarge
}

/** Drops fields that the shim does not read, because a tenant can fill them up to the size limit of an object. */
function withoutUnreadFields(nixBuild: NixBuild): NixBuild {
  const status = { conditions: [], attempts: [] }
  return { ...nixBuild, metadata: { ...nixBuild.metadata, ownerReferences: [] }, status }
}

function tooMany(namespace: string, image: string, cause?: unknown): FinalError {
  const most = `more than ${MAX_OF_IMAGE} NixBuilds of the image ${quote(image)}, or too large ones`
  const message = `namespace ${quote(namespace)} has ${most}: delete those that are no longer needed`
  return new FinalError('RecipeConflict', message, { cause })
}
