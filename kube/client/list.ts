import * as v from 'valibot'
import { FinalError, ShimError } from '../../lib/errors.ts'
import { AnswerTooLarge, type BodyEnds, MAX_OBJECT, tooLarge } from './answer-body.ts'
import { call, collectionPath, selectionQuery } from './api-call.ts'
import type { Connection } from './connection.ts'
import type { Kind, ListOptions, Selection } from './contract.ts'

/** Shrinks while the objects are too large, and grows again. */
const PAGE_SIZE = 500
/** In bytes. Parsing a longer page would block the thread for too long. */
const MAX_PAGE = 4 * 1024 * 1024

const metadataSchema = v.object({ resourceVersion: v.string(), continue: v.optional(v.string(), '') })
const pageSchema = v.object({ metadata: metadataSchema, items: v.nullish(v.array(v.unknown()), []) })

type Page = v.InferOutput<typeof pageSchema>

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
  options: ListOptions = {},
): AsyncGenerator<readonly unknown[], string> {
  const { pageSize = PAGE_SIZE, maxLength = Number.POSITIVE_INFINITY, onTooLarge, ...callOptions } = options
  const maxObject = options.maxObject ?? MAX_OBJECT
  const maxPage = Math.min(MAX_PAGE, maxObject)
  const operation = `list ${kind.plural}${selection.namespace === undefined ? '' : ` in ${selection.namespace}`}`
  let next = ''
  let limit = pageSize
  let length = 0
  let last: unknown
  for (;;) {
    let pageLength = 0
    const onLength = (length: number) => {
      pageLength = length
    }
    const query = { ...selectionQuery(selection), limit, continue: next || undefined }
    const path = collectionPath(kind, selection.namespace, query)
    const isSingle = limit === 1
    const limits = isSingle ? { max: maxObject, keepsEnds: onTooLarge !== undefined } : { max: maxPage }
    let page: Page
    try {
      const answer = await call(connection, { operation, method: 'GET', path, onLength, limits }, callOptions)
      page = parsePage(operation, answer)
    } catch (error) {
      if (!(error instanceof ShimError && error.cause instanceof AnswerTooLarge)) throw error
      if (!isSingle) {
        limit = Math.ceil(limit / 4)
        continue
      }
      const metadata = error.cause.ends && metadataOf(error.cause.ends)
      if (metadata === undefined) throw error
      onTooLarge?.(`${operation}: ${describePlace(last)} is larger than ${maxObject} bytes`)
      page = { metadata, items: [] }
    }
    length += pageLength
    if (length > maxLength) throw tooLarge(operation, maxLength)
    yield page.items
    last = page.items.at(-1) ?? last
    next = page.metadata.continue
    if (next === '') return page.metadata.resourceVersion
    // One tenant's large objects must not make the pages of all others small.
    if (pageLength < maxPage / 8) limit = Math.min(limit * 2, pageSize)
  }
}

function parsePage(operation: string, page: unknown): Page {
  const parsed = v.safeParse(pageSchema, page)
  if (parsed.success) return parsed.output
  throw new FinalError('ClusterRefused', `cannot ${operation}: the answer is not a list`)
}

/** Lists of built-in kinds begin with their metadata, lists of custom resources end with it. */
function metadataOf({ begin, end }: BodyEnds): Page['metadata'] | undefined {
  const match =
    /^\{"kind":"\w+","apiVersion":"[^"]+","metadata":(\{[^{}]+\})/.exec(begin) ??
    /"metadata":(\{[^{}]+\})\}\s*$/.exec(end)
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), metadataSchema), match?.[1])
  return parsed.success ? parsed.output : undefined
}

const nameSchema = v.object({ metadata: v.object({ namespace: v.optional(v.string()), name: v.string() }) })

/** Its own name is somewhere in the part that is not kept. */
function describePlace(last: unknown): string {
  const parsed = v.safeParse(nameSchema, last)
  if (!parsed.success) return 'the first object'
  const { namespace, name } = parsed.output.metadata
  return `the object after ${namespace === undefined ? '' : `${namespace}/`}${name}`
}
