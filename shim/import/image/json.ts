import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { archiveInvalid } from './errors.ts'

/** Longest JSON document of an image that is read: registries accept manifests of this length. */
export const MAX_JSON_BYTES = 4 * 1024 * 1024
/** All documents of one image together, each counted as often as it is read. */
export const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024

/** Parses a document of an image archive. Throws ArchiveInvalid that names it. */
export function parseJson<Schema extends v.GenericSchema>(
  schema: Schema,
  bytes: Buffer,
  name: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, parse(bytes, name))
  if (result.success) return result.output
  const [issue] = result.issues
  const path = v.getDotPath(issue)
  throw archiveInvalid(`has a ${name} of an unexpected form${path ? ` at ${path}` : ''}: ${issue.message}`)
}

/** `sha256:<hex>` of the bytes. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function parse(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw archiveInvalid(`has a ${name} that is not JSON`, cause)
  }
}
