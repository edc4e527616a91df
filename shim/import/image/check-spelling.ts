import { archiveInvalid } from './errors.ts'

/** Fields of a document by the object that they are in: `` for the document, `/rootfs` for what its field of that name has. */
export type KnownFields = Readonly<Record<string, readonly string[]>>

/**
 * Throws ArchiveInvalid when Go may read something else in the JSON document than we do: it finds fields in upper or lower case, and
 * puts a field that is there twice together. containerd would run what its reading says.
 */
export function checkSpelling(json: string, fields: KnownFields, name: string): void {
  const open: Frame[] = []
  // How many more are open, in which nothing is known.
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
  /** The latest, where fields are known. */
  key: string
  /** In lower case. */
  readonly seen: Set<string>
}

/** No document has known fields further below. */
const MAX_DEPTH = 3

function openFrame(around: Frame | undefined, isObject: boolean): Frame {
  return { path: pathIn(around), isObject, expectsKey: isObject, key: '', seen: new Set() }
}

/** What is in a list has the list's path. */
function pathIn(around: Frame | undefined): string {
  if (!around) return ''
  return around.isObject ? `${around.path}/${around.key}` : around.path
}

/** Of a document that is known to be JSON. */
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

/** As Go compares names of fields, or more so (encoding/json, fold.go). */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}
