import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { apiTime } from '../../../kube/resources/metadata.ts'
import { type NodeBuild, nodeBuildSchema } from '../../../kube/resources/nixnode.ts'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { backOff } from '../../../lib/async/retry.ts'
import { messageOf } from '../../../lib/errors.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { makeStateDir } from '../../../lib/files/own-files.ts'
import { IMAGE_ID_LABEL } from '../../containerd/services/constants.ts'
import type { FoundImage } from '../../containerd/services/images.ts'
import type { ImageRecords } from '../../pull/contract.ts'
import { RECIPE_LABEL, STORE_PATH_LABEL } from '../../pull/image-of-recipe.ts'
import type { NodeBuilds } from './node-builds.ts'

/** Keeps what the node reports as present true to what containerd has, across restarts. */
export interface PresentImages {
  /** Adds the images that an earlier shim reported and that are still there. Waits until containerd answers. */
  restore(): Promise<void>
  /** Call this when what is present has changed in `builds`. */
  save(): void
  /** Resolves when everything so far is saved. */
  saved(): Promise<void>
  /** Call this when images may have been removed. The check runs after a short delay. */
  check(): void
}

export interface PresentImagesOptions {
  /** Contains `nixbuilds.json`, because images may be removed while no shim is running. */
  readonly stateDir: string
  readonly builds: Pick<NodeBuilds, 'present' | 'restore' | 'retain'>
  readonly images: () => Promise<Pick<ImageRecords, 'withLabel'>>
  /** Keys of recipes whose image is still being made. */
  readonly activeKeys: () => ReadonlySet<string>
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Image garbage collection removes many images in a row. */
const SETTLE_MS = 200

export function createPresentImages(options: PresentImagesOptions): PresentImages {
  const { stateDir, builds, signal, logger } = options
  const file = join(stateDir, 'nixbuilds.json')
  const inTurn = createOneByOne()
  let isSaving = false
  let isDirty = false
  let isChecking = false
  let timer: NodeJS.Timeout | undefined

  async function save(): Promise<void> {
    isSaving = false
    await makeStateDir(stateDir)
    await writeAtomically(file, JSON.stringify(builds.present()), { mode: 0o640 })
  }

  async function checkUntilDone(): Promise<void> {
    isDirty = true
    if (isChecking) return
    isChecking = true
    while (isDirty && !signal.aborted) {
      isDirty = false
      if (builds.present().length === 0) continue
      const present = await untilPresent(options)
      if (present === undefined) break
      builds.retain(key => present.has(key))
    }
    isChecking = false
  }

  async function restore(): Promise<void> {
    const saved = await load(file)
    if (saved.length === 0) return
    const present = await untilPresent(options)
    // Without an answer, the next shim looks again.
    const left = present ? saved.filter(entry => present.has(keyOf(entry))) : saved
    builds.restore(left.flatMap(entry => toBuild(entry, present?.get(keyOf(entry)))))
  }

  return {
    // Whatever is saved meanwhile must not replace what is being restored.
    restore: () => inTurn(restore),
    save() {
      if (isSaving) return
      isSaving = true
      inTurn(save).catch(err => logger.warn({ err: messageOf(err) }, 'cannot save which images are present'))
    },
    saved: () => inTurn(async () => {}),
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

/** By the recipe's key; undefined while the image is being made. */
type PresentRecords = ReadonlyMap<string, FoundImage | undefined>

/** The images that are present or being made. Undefined if the signal aborts. */
async function untilPresent(options: PresentImagesOptions): Promise<PresentRecords | undefined> {
  const { signal, logger } = options
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      return await findPresent(options)
    } catch (err) {
      logger.warn({ err: messageOf(err) }, 'cannot find out which images are present')
      await backOff(failures, signal, LONGEST_PAUSE_MS)
    }
  }
  return undefined
}

async function findPresent({ images, activeKeys }: PresentImagesOptions): Promise<PresentRecords> {
  const active = activeKeys()
  // The second call adds runs that have started meanwhile; the first one has those that end meanwhile.
  const records = await (await images()).withLabel(RECIPE_LABEL)
  const beingMade = [...active, ...activeKeys()].map(key => [key, undefined] as const)
  return new Map([...beingMade, ...records.map(record => [record.labels[RECIPE_LABEL] ?? '', record] as const)])
}

/** A NixBuild of a shim of version 0.1, which wrote them itself. */
const olderEntrySchema = v.object({
  namespace: v.string(),
  name: v.string(),
  /** The recipe's key. */
  recipe: v.string(),
})

type SavedEntry = NodeBuild | v.InferOutput<typeof olderEntrySchema>

function keyOf(entry: SavedEntry): string {
  return 'key' in entry ? entry.key : entry.recipe
}

/** Without its record, nothing is known of the image of an older entry. */
function toBuild(entry: SavedEntry, record: FoundImage | undefined): NodeBuild | [] {
  if ('key' in entry) return entry
  const { namespace, name: nixBuild, recipe: key } = entry
  if (record === undefined) return []
  const { [IMAGE_ID_LABEL]: imageDigest, [STORE_PATH_LABEL]: storePath } = record.labels
  const since = apiTime(record.updatedAt)
  return { namespace, key, nixBuild, state: 'Present', since, imageDigest, storePath, pods: [] }
}

async function load(file: string): Promise<SavedEntry[]> {
  const text = await readFile(file, 'utf8').catch(() => '[]')
  const parsed = v.safeParse(
    v.pipe(v.string(), v.parseJson(), v.array(v.union([nodeBuildSchema, olderEntrySchema]))),
    text,
  )
  // A damaged file counts as empty.
  return parsed.success ? parsed.output : []
}
