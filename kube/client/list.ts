import * as v from 'valibot'
import { FinalError, ShimError } from '../../lib/errors.ts'
import { AnswerTooLarge, call, collectionPath, MAX_OBJECT, selectionQuery, tooLarge } from './api-call.ts'
import type { Connection } from './connection.ts'
import type { Kind, ListOptions, Selection } from './contract.ts'

/** Shrinks while the objects are too large, and grows again. */
const PAGE_SIZE = 500
/** In bytes. Parsing a longer page would block the thread for too long. */
const MAX_PAGE = 4 * 1024 * 1024

const pageSchema = v.object({
  metadata: v.object({ resourceVersion: v.string(), continue: v.optional(v.string(), '') }),
  items: v.nullish(v.array(v.unknown()), []),
})

/** Returns the resourceVersion to watch from. */
export async function listPages<T>(
  connection: Connection,
  kind: Kind<T>,
  selection: Selection,
  onItem: (item: T) => void,
  options?: ListOptions,
): Promise<string> {
  const pages = readPages(connection, kind, selection, options)
  for (;;) {
    const { done, value } = await pages.next()
    if (done) return value
    for (const item of value) onItem(kind.parse(item))
  }
}

/** Yields the unchecked items of each page. Returns the resourceVersion to watch from. */
export async function* readPages(
  connection: Connection,
  kind: Kind<unknown>,
  selection: Selection,
  { pageSize = PAGE_SIZE, maxLength = Number.POSITIVE_INFINITY, ...options }: ListOptions = {},
): AsyncGenerator<readonly unknown[], string> {
  const operation = `list ${kind.plural}${selection.namespace === undefined ? '' : ` in ${selection.namespace}`}`
  let next = ''
  let limit = pageSize
  let length = 0
  for (;;) {
    let pageLength = 0
    const onLength = (length: number) => {
      pageLength = length
    }
    const query = { ...selectionQuery(selection), limit, continue: next || undefined }
    const path = collectionPath(kind, selection.namespace, query)
    const maxAnswer = limit === 1 ? MAX_OBJECT : MAX_PAGE
    const request = { operation, method: 'GET', path, onLength, maxAnswer } as const
    const page = await unlessTooLarge(call(connection, request, options), limit)
    if (page === undefined) {
      limit = Math.ceil(limit / 4)
      continue
    }
    length += pageLength
    if (length > maxLength) throw tooLarge(operation, maxLength)
    const { metadata, items } = parsePage(operation, page)
    yield items
    next = metadata.continue
    if (next === '') return metadata.resourceVersion
    // One tenant's large objects must not make the pages of all others small.
    if (pageLength < MAX_PAGE / 8) limit = Math.min(limit * 2, pageSize)
  }
}

/** Undefined if a smaller page may succeed. Users choose how large their objects are. */
async function unlessTooLarge(page: Promise<unknown>, limit: number): Promise<unknown> {
  try {
    return await page
  } catch (error) {
    if (limit > 1 && error instanceof ShimError && error.cause instanceof AnswerTooLarge) return undefined
    throw error
  }
}

function parsePage(operation: string, page: unknown): v.InferOutput<typeof pageSchema> {
  const parsed = v.safeParse(pageSchema, page)
  if (parsed.success) return parsed.output
  throw new FinalError('ClusterRefused', `cannot ${operation}: the answer is not a list`)
}
