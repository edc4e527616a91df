import * as v from 'valibot'
import { RetryableError } from '../errors.ts'
import type { PathInfo } from './contract.ts'
import { storePathSchema } from './realise.ts'

/** As Nix writes a hash since 2.4: `sha256-<base64>`. */
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

/** Up to 2.18, and in Lix. */
const listSchema = v.array(
  v.union([
    v.object({ path: storePathSchema, valid: v.literal(false) }),
    v.object({ path: storePathSchema, ...facts }),
  ]),
)

/** From 2.19 on, null for what is not valid. */
const recordSchema = v.record(storePathSchema, v.nullable(v.object(facts)))

/** The valid paths in what `nix path-info --json` wrote. Throws BuildInterrupted when the text is no answer. */
export function readPathInfo(stdout: string): PathInfo[] {
  try {
    const answer: unknown = JSON.parse(stdout)
    return Array.isArray(answer) ? fromList(v.parse(listSchema, answer)) : fromRecord(v.parse(recordSchema, answer))
  } catch {
    throw new RetryableError('BuildInterrupted', 'nix gave no answer that makes sense about store paths')
  }
}

function fromList(entries: v.InferOutput<typeof listSchema>): PathInfo[] {
  return entries.flatMap(entry => ('valid' in entry ? [] : [entry]))
}

function fromRecord(entries: v.InferOutput<typeof recordSchema>): PathInfo[] {
  return Object.entries(entries).flatMap(([path, facts]) => (facts ? [{ path, ...facts }] : []))
}
