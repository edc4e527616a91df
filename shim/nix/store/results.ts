import { createHash, randomUUID } from 'node:crypto'
import { lstat, readdir, readlink, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { hasCode } from '../../../lib/error-code.ts'
import { type AtomicFile, writeAtomically } from '../../../lib/files/atomic-file.ts'
import { readOwnFile } from '../../../lib/files/own-files.ts'
import { packageHintsSchema } from '../../../recipes/built-package.ts'
import { type Recipe, recipeKey } from '../../../recipes/recipe.ts'
import { guardState, type StateDir } from '../user/state-dir.ts'
import { storePathSchema } from './path-info.ts'

/**
 * Results of builds by recipe, and the gc roots that keep them. Calls take effect in order: an earlier `keepOnly` never removes what a
 * later `find` or `prepareLink` returned.
 */
export interface Results {
  /** Returns the path of the gc root, which nix will create or replace. Anything else at that path is moved away. */
  prepareLink(recipeKey: string): Promise<string>
  /** The saved result, if its gc root and store path still exist and only root could have written it. */
  find(recipeKey: string): Promise<BuildResult | undefined>
  save(recipeKey: string, result: SavedResult): Promise<void>
  /** Resolves when all earlier calls have taken effect. */
  settled(): Promise<void>
  /** Removes one gc root. */
  release(key: string): Promise<void>
  /** Removes all other results and their gc roots. */
  keepOnly(keys: ReadonlySet<string>): Promise<void>
}

/** The result of a build. */
export const buildResultSchema = v.object({
  storePath: storePathSchema,
  /** Id of the run that made it, as its log file is named. */
  runId: v.pipe(v.string(), v.maxLength(255)),
  /** URL of the content that the flake had; missing if the recipe is a store path, or nix does not tell. */
  lockedFlakeUrl: v.exactOptional(v.pipe(v.string(), v.maxLength(1024))),
  /** What the package says about running it as an image; missing if it says nothing. */
  package: v.exactOptional(packageHintsSchema),
})
export type BuildResult = Readonly<v.InferOutput<typeof buildResultSchema>>

const savedResultSchema = v.object({
  ...buildResultSchema.entries,
  /** The derivation's output; nix appends it to the name of the link. */
  output: v.string(),
  /** For people only; missing if the recipe is a store path. */
  flake: v.exactOptional(v.string()),
  packageName: v.exactOptional(v.string()),
  contents: v.exactOptional(v.array(v.string())),
})
export type SavedResult = v.InferOutput<typeof savedResultSchema>

export function createResults({ root, results, gcroots }: StateDir): Results {
  const record = (key: string) => join(results, `${key}.json`)
  const link = (key: string) => join(gcroots, key)
  const inTurn = createOneByOne()
  const change = <Result>(task: () => Promise<Result>) => inTurn(() => guardState(root, task))
  return {
    prepareLink: key =>
      change(async () => {
        for (const name of await readdir(gcroots)) if (keyOf(name) === key) await clearWay(gcroots, name)
        return link(key)
      }),
    find: key =>
      inTurn(async () => {
        const saved = readRecord(results, record(key))
        if (saved === undefined) return undefined
        const { output, flake, packageName, contents, ...result } = saved
        const { storePath } = result
        const target = await orUndefined(readlink(output === 'out' ? link(key) : `${link(key)}-${output}`))
        if (target !== storePath || !(await orUndefined(lstat(storePath)))) return undefined
        return result
      }),
    save: (key, result) => change(() => writeAtomically(record(key), JSON.stringify(result), RECORD)),
    settled: () => inTurn(async () => {}),
    release: key => change(() => unlink(link(key)).catch(ignoreNoFile)),
    keepOnly: keys =>
      change(async () => {
        await unlinkOthers(results, keys)
        await unlinkOthers(gcroots, keys)
      }),
  }
}

/** Stable key of the gc root for the archive that a recipe's program writes. */
export function archiveKey(recipe: Recipe): string {
  return createHash('sha256')
    .update(JSON.stringify(['archive', recipeKey(recipe)]))
    .digest('hex')
}

function readRecord(folder: string, path: string): SavedResult | undefined {
  const text = readOwnFile(folder, path)
  if (text === undefined) return undefined
  try {
    return v.parse(savedResultSchema, JSON.parse(text))
  } catch {
    // A damaged record counts as missing: the next build writes it again.
    return undefined
  }
}

async function orUndefined<Value>(promise: Promise<Value>): Promise<Value | undefined> {
  return promise.catch(() => undefined)
}

/** Nix replaces a link into the store, but fails if anything else is in its place. */
async function clearWay(dir: string, name: string): Promise<void> {
  const path = join(dir, name)
  if (v.is(storePathSchema, await orUndefined(readlink(path)))) return
  try {
    await unlink(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    if (!hasCode(error, 'EISDIR')) throw error
    // The build user put a folder there. Root removes no tree of another user, who could change it meanwhile.
    await rename(path, join(dir, `obstacle-${randomUUID()}`))
  }
}

function ignoreNoFile(error: unknown): void {
  if (!hasCode(error, 'ENOENT', 'EISDIR')) throw error
}

const RECORD: AtomicFile = { mode: 0o640, synced: true }

/** A recipe's key; nix and the shim append suffixes. */
const KEYED_NAME = /^([0-9a-f]{64})(?:[-.].+)?$/

function keyOf(name: string): string | undefined {
  return KEYED_NAME.exec(name)?.[1]
}

async function unlinkOthers(dir: string, keys: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(dir)) {
    const key = keyOf(name)
    // `unlink` removes only links and files: one of the folders belongs to the build user, who may put anything there.
    if (key !== undefined && !keys.has(key)) await unlink(join(dir, name)).catch(ignoreNoFile)
  }
}
