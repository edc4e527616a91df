import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import * as v from 'valibot'
import { isStorePath } from '../../../recipes/store-path.ts'
import { foldersOf } from '../../nix/user/state-dir.ts'
import { USE_FEATURES } from '../nix/nix-of-shim.ts'
import type { RunNix } from '../nix/sandbox.ts'

/** A store path that was built here. */
export interface BuiltPath {
  readonly path: string
  /** `NAME:BASE64` each. */
  readonly signatures: readonly string[]
}

/** Links that are looked at, and results whose closures are. */
const MAX_LINKS = 2000
const NEWEST = 3

/** The store paths of the newest images of recipes, newest first. */
export async function newestResults(stateDir: string): Promise<string[]> {
  const { gcroots } = foldersOf(stateDir)
  const names = await readdir(gcroots).catch(() => [])
  const links = await pMap(names.slice(0, MAX_LINKS), name => readRoot(join(gcroots, name)), { concurrency: 8 })
  const found = links.filter(link => link !== undefined && isStorePath(link.path))
  const paths = found.toSorted((one, other) => (other?.madeMs ?? 0) - (one?.madeMs ?? 0)).map(link => link?.path ?? '')
  return [...new Set(paths)].slice(0, NEWEST)
}

async function readRoot(link: string): Promise<{ readonly path: string; readonly madeMs: number } | undefined> {
  try {
    return { path: await readlink(link), madeMs: (await lstat(link)).mtimeMs }
  } catch {
    return undefined
  }
}

const info = { ultimate: v.optional(v.boolean(), false), signatures: v.optional(v.array(v.string()), []) }
/** A list until 2.18, and Lix; then an object by path, with null for paths that are not valid. */
const answerSchema = v.union([
  v.array(v.object({ path: v.string(), ...info })),
  v.pipe(
    v.record(v.string(), v.nullable(v.object(info))),
    v.transform(record =>
      Object.entries(record).flatMap(([path, facts]) => (facts === null ? [] : [{ path, ...facts }])),
    ),
  ),
])

/** Those paths of some closures that were built here. Undefined if nix does not tell. */
export async function builtPaths(run: RunNix, paths: readonly string[]): Promise<readonly BuiltPath[] | undefined> {
  const answer = await run(['path-info', '--recursive', '--json', ...USE_FEATURES, ...paths])
  if ('problem' in answer) return undefined
  try {
    return v.parse(answerSchema, JSON.parse(answer.stdout)).filter(({ ultimate }) => ultimate)
  } catch {
    return undefined
  }
}
