import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { backOff } from '../../../lib/async/retry.ts'
import { messageOf, ShimError } from '../../../lib/errors.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { makeStateDir } from '../../../lib/files/own-files.ts'
import type { ImageRecords } from '../../pull/contract.ts'
import { RECIPE_LABEL } from '../../pull/image-of-recipe.ts'
import { withoutEntry } from '../nixbuild/status.ts'
import type { NixBuildStore } from '../nixbuild-store.ts'

const entrySchema = v.object({
  namespace: v.string(),
  name: v.string(),
  /** The recipe's key. */
  recipe: v.string(),
})

/** A NixBuild that lists this node as one that has its image. */
export type ListedNixBuild = v.InferOutput<typeof entrySchema>

/** Keeps track of the NixBuilds that list this node, and removes the node from their lists when its image is gone. */
export interface ImageEntries {
  remember(entry: ListedNixBuild): void
  /** Call this when images may have been removed. The check runs after a short delay. */
  check(): void
}

export interface ImageEntriesOptions {
  /** Contains `nixbuilds.json`, because images may be removed while no shim is running. */
  readonly stateDir: string
  readonly store: NixBuildStore
  readonly images: () => Promise<Pick<ImageRecords, 'withLabel'>>
  readonly node: string
  /** Keys of recipes whose image is still being made. */
  readonly activeKeys: () => ReadonlySet<string>
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Beyond this many, the oldest are forgotten and stay in their NixBuilds. */
const MAX_ENTRIES = 5000
/** Image garbage collection removes many images in a row. */
const SETTLE_MS = 200

export function createImageEntries(options: ImageEntriesOptions): ImageEntries {
  const { stateDir, signal, logger } = options
  const file = join(stateDir, 'nixbuilds.json')
  const inTurn = createOneByOne()
  let loaded: Map<string, ListedNixBuild> | undefined
  let timer: NodeJS.Timeout | undefined
  let isDirty = false
  let isChecking = false

  const entries = async () => {
    loaded ??= await load(file)
    return loaded
  }
  const attempt = (task: () => Promise<void>) =>
    inTurn(task).catch(err => logger.warn({ err: messageOf(err) }, 'cannot record the images of NixBuilds'))

  /** Calls during a check cause one more check. */
  async function checkUntilDone(): Promise<void> {
    isDirty = true
    if (isChecking) return
    isChecking = true
    for (let failures = 0; isDirty && !signal.aborted; ) {
      isDirty = false
      try {
        await inTurn(check)
        failures = 0
      } catch (err) {
        failures += 1
        isDirty ||= !isRefused(err) || failures < MAX_REFUSALS
        logger.warn({ err: messageOf(err) }, 'cannot remove images from NixBuilds')
        if (isDirty) await backOff(failures, signal, LONGEST_PAUSE_MS)
      }
    }
    isChecking = false
  }

  /** Tries all entries before it throws the last refusal. */
  async function check(): Promise<void> {
    const known = await entries()
    if (known.size === 0) return
    const present = await findPresentRecipes(options)
    let refused: unknown
    for (const [key, entry] of known) {
      if (present.has(entry.recipe)) continue
      try {
        await removeEntry(options, entry)
      } catch (err) {
        if (!isRefused(err)) throw err
        refused = err
        continue
      }
      known.delete(key)
      await save(file, known)
    }
    if (refused) throw refused
  }

  return {
    remember: entry =>
      void attempt(async () => {
        const known = await entries()
        const key = `${entry.namespace}/${entry.name}`
        if (known.get(key)?.recipe === entry.recipe) return
        known.set(key, entry)
        const [oldest] = known.keys()
        if (known.size > MAX_ENTRIES && oldest !== undefined) known.delete(oldest)
        await makeStateDir(stateDir)
        await save(file, known)
      }),
    check() {
      if (timer || signal.aborted) return
      timer = setTimeout(() => {
        timer = undefined
        void checkUntilDone()
      }, SETTLE_MS)
      timer.unref()
    },
  }
}

const LONGEST_PAUSE_MS = 60_000
/**
 * An API server that has just started may refuse every request. After this many, wait for the next change of images.
 */
const MAX_REFUSALS = 6

function isRefused(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'ClusterRefused'
}

async function findPresentRecipes({ images, activeKeys }: ImageEntriesOptions): Promise<ReadonlySet<string>> {
  const active = activeKeys()
  // The second call adds runs that have started meanwhile; the first one has those that end meanwhile.
  const records = await (await images()).withLabel(RECIPE_LABEL)
  return new Set([...active, ...activeKeys(), ...records.map(({ labels }) => labels[RECIPE_LABEL] ?? '')])
}

async function removeEntry({ store, node }: ImageEntriesOptions, { namespace, name }: ListedNixBuild): Promise<void> {
  const live = await store.get(namespace, name)
  const status = live && withoutEntry(live, node)
  if (live && status) await store.change(live, { kind: 'apply', status })
}

async function load(file: string): Promise<Map<string, ListedNixBuild>> {
  const text = await readFile(file, 'utf8').catch(() => '[]')
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.array(entrySchema)), text)
  // A damaged file counts as empty.
  const list = parsed.success ? parsed.output : []
  return new Map(list.map(entry => [`${entry.namespace}/${entry.name}`, entry]))
}

function save(file: string, entries: ReadonlyMap<string, ListedNixBuild>): Promise<void> {
  return writeAtomically(file, JSON.stringify([...entries.values()]), { mode: 0o640 })
}
