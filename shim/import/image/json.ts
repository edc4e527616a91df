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

/** Known fields of a document by the path of their object: `` for the document, `/rootfs` for its field of that name. */
type KnownFields = Readonly<Record<string, readonly string[]>>

/**
 * Throws ArchiveInvalid if Go may read the JSON document in another way: it ignores the case of fields, and merges a field that is
 * there twice. containerd would run what Go has read.
 */
export function checkSpelling(json: string, fields: KnownFields, name: string): void {
  const open: Frame[] = []
  // Number of open objects and lists below MAX_DEPTH, in which no field is known.
  let deeper = 0
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at]
    const frame = deeper === 0 ? open.at(-1) : undefined
    if (character === '"') {
      const end = endOfText(json, at)
      if (frame?.expectsKey) takeKey(frame, json.slice(at, end + 1), { fields, name })
      at = end
    } else if (character === '{' || character === '[') {
      if (open.length > MAX_DEPTH) deeper += 1
      else open.push(openFrame(frame, character === '{'))
    } else if (character === '}' || character === ']') {
      if (deeper > 0) deeper -= 1
      else open.pop()
    } else if (character === ',' && frame) frame.expectsKey = frame.isObject
  }
}

interface Frame {
  readonly path: string
  readonly isObject: boolean
  expectsKey: boolean
  /** The latest key, if the object has known fields. */
  key: string
  /** In lower case. */
  readonly seen: Set<string>
}

/** No document has known fields at a greater depth. */
const MAX_DEPTH = 3

function openFrame(around: Frame | undefined, isObject: boolean): Frame {
  return { path: pathIn(around), isObject, expectsKey: isObject, key: '', seen: new Set() }
}

/** Items of a list have the list's path. */
function pathIn(around: Frame | undefined): string {
  if (!around) return ''
  return around.isObject ? `${around.path}/${around.key}` : around.path
}

/** The document is known to be JSON. */
function endOfText(json: string, start: number): number {
  let at = start + 1
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at
}

interface Wanted {
  readonly fields: KnownFields
  readonly name: string
}

function takeKey(frame: Frame, literal: string, { fields, name }: Wanted): void {
  frame.expectsKey = false
  frame.key = ''
  const known = fields[frame.path]
  if (!known) return
  const key = String(JSON.parse(literal))
  const folded = fold(key)
  if (frame.seen.has(folded) || known.some(field => field !== key && fold(field) === folded))
    throw archiveInvalid(`has a ${name} that can be read in two ways: its field ${JSON.stringify(key.slice(0, 50))}`)
  frame.seen.add(folded)
  frame.key = key
}

/** At least what Go does to compare names of fields (encoding/json, fold.go). */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}
