import { setImmediate } from 'node:timers/promises'
import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { storePathSchema } from './path-info.ts'

/** The format of hashes since Nix 2.4: `sha256-<base64>`. */
const narHash = v.pipe(
  v.string(),
  v.regex(/^sha256-[A-Za-z0-9+/]{43}=$/),
  v.transform(text => Buffer.from(text.slice('sha256-'.length), 'base64').toString('hex')),
)

const facts = {
  narHash,
  narSize: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  references: v.array(storePathSchema),
}

/** An item of the list that Nix prints until 2.18, and Lix. */
const itemSchema = v.union([
  v.object({ path: storePathSchema, valid: v.literal(false) }),
  v.object({ path: storePathSchema, ...facts }),
])

/** The object that Nix prints since 2.19, with null for paths that are not valid. */
const recordSchema = v.record(storePathSchema, v.nullable(v.object(facts)))

/** Characters that are parsed before other tasks run: less than a millisecond's work. */
const STEP = 32 * 1024

/** Parses the valid paths from the output of `nix path-info --json`. Throws BuildInterrupted if the output is invalid. */
export async function parsePathInfo(stdout: string): Promise<StorePathInfo[]> {
  const found: StorePathInfo[] = []
  let pauseAt = STEP
  try {
    for (const { text, end, isOfList } of entriesOf(stdout)) {
      found.push(...(isOfList ? readItem(text) : readRecord(text)))
      if (end < pauseAt) continue
      pauseAt = end + STEP
      await setImmediate()
    }
  } catch {
    throw new RetryableError('BuildInterrupted', 'nix gave an unexpected answer about store paths')
  }
  return found
}

function readItem(text: string): StorePathInfo[] {
  const item = v.parse(itemSchema, JSON.parse(text))
  return 'valid' in item ? [] : [item]
}

function readRecord(text: string): StorePathInfo[] {
  const record = v.parse(recordSchema, JSON.parse(`{${text}}`))
  return Object.entries(record).flatMap(([path, facts]) => (facts ? [{ path, ...facts }] : []))
}

interface Entry {
  readonly text: string
  /** Position of its end. */
  readonly end: number
  readonly isOfList: boolean
}

/** Yields the texts of the entries of a JSON list or object. The entries themselves are not checked. */
function* entriesOf(json: string): Generator<Entry> {
  const text = json.trim()
  const isOfList = text.startsWith('[')
  if (!isOfList && !text.startsWith('{')) throw new Error('it is neither a list nor an object')
  if (!text.endsWith(isOfList ? ']' : '}')) throw new Error('it is cut short')
  const last = text.length - 1
  let start = 1
  let depth = 0
  for (let at = 0; at <= last; at += 1) {
    const char = text[at]
    if (char === '"') at = endOfString(text, at)
    else if (char === '[' || char === '{') depth += 1
    else if (char === ']' || char === '}') depth -= 1
    if (depth === 0 && at < last) throw new Error('something stands behind it')
    if ((char !== ',' || depth !== 1) && at < last) continue
    if (char !== ',' && text.slice(start, at).trim() === '' && start === 1) return
    yield { text: text.slice(start, at), end: at, isOfList }
    start = at + 1
  }
  if (depth !== 0) throw new Error('it is cut short')
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1))
    if (!isEscaped(text, end)) return end
  throw new Error('a text has no end')
}

function isEscaped(text: string, at: number): boolean {
  let first = at
  while (text[first - 1] === '\\') first -= 1
  return (at - first) % 2 === 1
}
