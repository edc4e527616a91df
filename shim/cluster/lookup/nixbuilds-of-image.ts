import { AnswerTooLarge } from '../../../kube/client/api-call.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { FinalError, RetryableError, ShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { referenceAliases } from '../../../recipes/reference-aliases.ts'

export interface ImageQuery {
  readonly namespace: string
  /** Normalised reference. */
  readonly image: string
  readonly signal?: AbortSignal
}

/** Far more than the retention of those that nobody uses leaves. */
const MAX_OF_IMAGE = 500
/** In characters, for each spelling of the image. Whoever may make NixBuilds may make each as large as an object can be. */
const MAX_LENGTH = 16 * 1024 * 1024
/** For all pages together. */
const MAX_MS = 10_000

/**
 * The NixBuilds of a namespace whose image that is, however they spell it, for reading their recipes. Throws RecipeConflict for
 * too many: a pull that went on without them could bring in a stranger's image from a registry.
 */
export async function withImage(kube: Pick<Kube, 'list'>, query: ImageQuery): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await listBounded(kube, query, 'RecipeConflict', item => found.push({ ...withoutOwners(item), status: EMPTY }))
  return found
}

type TooMany = 'RecipeConflict' | 'ClusterRefused'

const EMPTY = { conditions: [], nodes: [], attempts: [] }

/** The same, each as it is. Throws ClusterRefused for too many, and ClusterAway after ten seconds. */
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

/** Whoever may make NixBuilds may put as much as an object can have into what nobody here reads. */
export function withoutOwners(nixBuild: NixBuild): NixBuild {
  const { managedFields, ...metadata } = nixBuild.metadata
  return { ...nixBuild, metadata: { ...metadata, ownerReferences: [] } }
}

/** Those that shims have made are not read at all: a node that was taken over may make any number of them. */
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
  const message = `namespace ${quote(namespace)} has ${most}: delete those that are of no use any more`
  return new FinalError(code, message, { cause })
}
