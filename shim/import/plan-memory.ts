import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { digestOf } from './json.ts'
import { descriptorSchema } from './oci-index.ts'
import type { Document, ReadPlan } from './plan.ts'

/** Plans of outputs that were read before. A store path never changes, so its plan holds for ever. */
export interface PlanMemory {
  recall(storePath: string): Promise<ReadPlan | undefined>
  remember(storePath: string, plan: ReadPlan): Promise<void>
}

/** Plans that are kept; the oldest go. One has about 20 kB. */
const MAX_PLANS = 1_000

/** One file for each store path. A file that cannot be used counts as none. */
export function openPlanMemory(folder: string): PlanMemory {
  return {
    async recall(storePath) {
      const text = await readFile(planFile(folder, storePath), 'utf8').catch(() => undefined)
      return text === undefined ? undefined : parsePlan(text, storePath)
    },
    async remember(storePath, plan) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await removeOldest(folder)
      const file = planFile(folder, storePath)
      const unfinished = `${file}.${process.pid}`
      await writeFile(unfinished, JSON.stringify(serialise(storePath, plan)), { mode: 0o600 })
      await rename(unfinished, file)
    },
  }
}

function planFile(folder: string, storePath: string): string {
  return join(folder, `${createHash('sha256').update(storePath).digest('hex')}.json`)
}

const documentSchema = v.object({ ...descriptorSchema.entries, base64: v.string() })
const schema = v.object({
  version: v.literal(3),
  storePath: v.string(),
  config: documentSchema,
  manifest: documentSchema,
  layers: v.array(v.object({ ...descriptorSchema.entries, diffId: descriptorSchema.entries.digest })),
  unpackedSize: v.number(),
  layerNames: v.array(v.string()),
})
type Serialised = v.InferOutput<typeof schema>

function serialise(storePath: string, { config, manifest, layers, unpackedSize, layerNames }: ReadPlan): Serialised {
  const documents = { config: encode(config), manifest: encode(manifest) }
  return { version: 3, storePath, ...documents, layers: [...layers], unpackedSize, layerNames: [...layerNames] }
}

function encode({ mediaType, digest, size, bytes }: Document): Serialised['config'] {
  return { mediaType, digest, size, base64: bytes.toString('base64') }
}

function parsePlan(text: string, storePath: string): ReadPlan | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text)
  if (!result.success || result.output.storePath !== storePath) return undefined
  const { layers, unpackedSize, layerNames, ...documents } = result.output
  const config = decode(documents.config)
  const manifest = decode(documents.manifest)
  return config && manifest && { config, manifest, layers, unpackedSize, layerNames }
}

function decode({ mediaType, digest, size, base64 }: Serialised['config']): Document | undefined {
  const bytes = Buffer.from(base64, 'base64')
  return digestOf(bytes) === digest ? { mediaType, digest, size, bytes } : undefined
}

async function removeOldest(folder: string): Promise<void> {
  const names = await readdir(folder)
  if (names.length < MAX_PLANS) return
  const files = await Promise.all(names.map(name => withAge(join(folder, name))))
  const oldest = files.sort((one, other) => one.modified - other.modified).slice(0, names.length - MAX_PLANS + 1)
  await Promise.all(oldest.map(({ file }) => rm(file, { force: true })))
}

async function withAge(file: string): Promise<{ file: string; modified: number }> {
  const stats = await stat(file).catch(() => undefined)
  return { file, modified: stats?.mtimeMs ?? 0 }
}
