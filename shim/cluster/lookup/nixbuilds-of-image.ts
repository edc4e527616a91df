import { AnswerTooLarge } from '../../../kube/client/answer-body.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { FinalError, RetryableError, ShimError } from '../../../lib/errors.ts'
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
/** For all pages together. */
const MAX_MS = 10_000

/**
 * Lists a namespace's NixBuilds of an image in any spelling, reduced to their recipes. Throws RecipeConflict if there
 * are too many: a pull that ignored them could fetch a stranger's image from a registry.
 */
export async function listRecipes(kube: Pick<Kube, 'list'>, query: ImageQuery): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await listBounded(kube, query, 'RecipeConflict', item => found.push({ ...withoutUnreadFields(item), status: EMPTY }))
  return found
}

type TooMany = 'RecipeConflict' | 'ClusterRefused'

const EMPTY = { conditions: [], nodes: [], attempts: [] }

/** Lists complete NixBuilds. Throws ClusterRefused if there are too many, and ClusterAway after ten seconds. */
export async function listImage(
  kube: Pick<Kube, 'list'>,
  query: Omit<ImageQuery, 'signal'>,
  onItem: (item: NixBuild) => void,
): Promise<void> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), MAX_MS)
  try {
    await listBounded(kube, { ...query, signal: limit.signal }, 'ClusterRefused', onItem)
  } catch (cause) {
    if (!limit.signal.aborted) throw cause
    const what = `cannot list the NixBuilds of ${quote(query.namespace)} now`
    throw new RetryableError('ClusterAway', `${what}: it takes longer than ${MAX_MS / 1000} seconds`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Drops fields that the shim does not read, because a tenant can fill them up to the size limit of an object. */
export function withoutUnreadFields(nixBuild: NixBuild): NixBuild {
  return { ...nixBuild, metadata: { ...nixBuild.metadata, ownerReferences: [] } }
}

/** The selector leaves out NixBuilds made by shims: a compromised node could make any number of them. */
async function listBounded(
  kube: Pick<Kube, 'list'>,
  { namespace, image, signal }: ImageQuery,
  code: TooMany,
  onItem: (item: NixBuild) => void,
): Promise<void> {
  let count = 0
  const countItem = (item: NixBuild) => {
    count += 1
    if (count > MAX_OF_IMAGE) throw tooMany(namespace, image, code)
    onItem(item)
  }
  const options = { signal, maxLength: MAX_LENGTH }
  const labelSelector = `${MANAGED_BY_LABEL}!=${SHIM}`
  const list = (spelling: string) =>
    kube.list(nixBuilds, { namespace, labelSelector, fieldSelector: `spec.imageTag=${spelling}` }, countItem, options)
  try {
    await Promise.all(referenceAliases(image).map(list))
  } catch (error) {
    if (error instanceof ShimError && error.cause instanceof AnswerTooLarge)
      throw tooMany(namespace, image, code, error)
    throw error
  }
}

function tooMany(namespace: string, image: string, code: TooMany, cause?: unknown): FinalError {
  const most = `more than ${MAX_OF_IMAGE} NixBuilds of the image ${quote(image)}, or too large ones`
  const message = `namespace ${quote(namespace)} has ${most}: delete those that are no longer needed`
  return new FinalError(code, message, { cause })
}
