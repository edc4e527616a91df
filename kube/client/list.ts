import * as v from 'valibot'
import { FinalError, ShimError } from '../../lib/errors.ts'
import { AnswerTooLarge, call, collectionPath, selectionQuery, tooLarge } from './api-call.ts'
import type { Connection } from './connection.ts'
import type { Kind, ListOptions, Selection } from './contract.ts'

/** Shrinks if the objects are too large. */
const PAGE_SIZE = 500

const pageSchema = v.object({
  metadata: v.object({ resourceVersion: v.string(), continue: v.optional(v.string(), '') }),
  items: v.nullish(v.array(v.unknown()), []),
})

export async function listPages<T>(
  connection: Connection,
  kind: Kind<T>,
  selection: Selection,
  onItem: (item: T) => void,
  { pageSize = PAGE_SIZE, maxLength = Number.POSITIVE_INFINITY, ...options }: ListOptions = {},
): Promise<string> {
  const operation = `list ${kind.plural}${selection.namespace === undefined ? '' : ` in ${selection.namespace}`}`
  let next = ''
  let limit = pageSize
  let length = 0
  const onLength = (more: number) => {
    length += more
  }
  for (;;) {
    const query = { ...selectionQuery(selection), limit, continue: next || undefined }
    const path = collectionPath(kind, selection.namespace, query)
    const page = await unlessTooLarge(call(connection, { operation, method: 'GET', path, onLength }, options), limit)
    if (page === undefined) {
      limit = Math.ceil(limit / 4)
      continue
    }
    if (length > maxLength) throw tooLarge(operation, maxLength)
    const { metadata, items } = parsePage(operation, page)
    for (const item of items) onItem(kind.parse(item))
    next = metadata.continue
    if (next === '') return metadata.resourceVersion
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
