import * as v from 'valibot'
import { FinalError } from '../shim/errors.ts'
import { call } from './api-call.ts'
import { collectionPath, selectionQuery } from './api-path.ts'
import type { Connection } from './connection.ts'
import type { CallOptions, Kind, Selection } from './contract.ts'

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
  { pageSize = PAGE_SIZE, ...options }: CallOptions & { readonly pageSize?: number } = {},
): Promise<string> {
  const what = `list ${kind.plural}${selection.namespace === undefined ? '' : ` in ${selection.namespace}`}`
  let next = ''
  for (;;) {
    const query = { ...selectionQuery(selection), limit: pageSize, continue: next || undefined }
    const path = collectionPath(kind, selection.namespace, query)
    const { metadata, items } = parsePage(what, await call(connection, { what, method: 'GET', path }, options))
    for (const item of items ?? []) onItem(kind.parse(item))
    next = metadata.continue
    if (next === '') return metadata.resourceVersion
  }
}

function parsePage(what: string, page: unknown): v.InferOutput<typeof pageSchema> {
  const parsed = v.safeParse(pageSchema, page)
  if (parsed.success) return parsed.output
  throw new FinalError('ClusterRefused', `cannot ${what}: the answer is no list`)
}
