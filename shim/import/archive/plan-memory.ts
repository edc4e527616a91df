import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'

import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { keepNewest } from '../../../lib/files/keep-newest.ts'

import { readOwnFile } from '../../../lib/files/own-file.ts'
import { pairLayers, parseConfig } from '../image/config.ts'
import { digestOf } from '../image/json.ts'
import type { Document, PlannedLayer, ReadPlan } from '../image/parsed-image.ts'
import type { StoreInfos } from '../store-layers/digest-keys.ts'
import { descriptorSchema } from './oci-index.ts'
import { parseManifest } from './oci-layout.ts'

/** Plans of outputs that were read before, each by a key that says all that it depends on. */
export interface PlanMemory {
  recall(key: string): Promise<ReadPlan | undefined>
  remember(key: string, plan: ReadPlan): Promise<void>
}

/**
 * For a file or folder in the store, by all that its package refers to: what is built once more may have other content. Of an image that
 * its name has chosen among several, also by `name`.
 */
export function planKey(path: string, closure: StoreInfos, name?: string): string {
  const contents = [...closure.values()].map(({ path, narHash }) => [path, narHash])
  const sorted = contents.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify(name === undefined ? [path, sorted] : [path, sorted, name]))
    .digest('hex')
}

/** Plans that are kept; the oldest go. */
const MAX_PLANS = 1_000
/** In characters. Most have about 20 kB; an image with a longer one is read each time. */
const MAX_PLAN_LENGTH = 256 * 1024

/** One file for each. A file that cannot be used, or that somebody else may have written, counts as none. */
export function openPlanMemory(folder: string): PlanMemory {
  return {
    async recall(key) {
      const text = readOwnFile(folder, planFile(folder, key))
      return text === undefined ? undefined : parsePlan(text, key)
    },
    async remember(key, plan) {
      const text = JSON.stringify(serialise(key, plan))
      if (text.length > MAX_PLAN_LENGTH) return
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await keepNewest(folder, MAX_PLANS)
      await writeAtomically(planFile(folder, key), text, { mode: 0o600, shared: true })
    },
  }
}

function planFile(folder: string, key: string): string {
  return join(folder, `${key}.json`)
}

const documentSchema = v.object({ ...descriptorSchema.entries, base64: v.string() })
const schema = v.object({
  version: v.literal(6),
  key: v.string(),
  config: documentSchema,
  manifest: documentSchema,
  unpackedSize: v.number(),
  layerNames: v.array(v.string()),
})
type Serialised = v.InferOutput<typeof schema>

function serialise(key: string, { config, manifest, unpackedSize, layerNames }: ReadPlan): Serialised {
  const documents = { config: encode(config), manifest: encode(manifest) }
  return { version: 6, key, ...documents, unpackedSize, layerNames: [...layerNames] }
}

function encode({ mediaType, digest, size, bytes }: Document): Serialised['config'] {
  return { mediaType, digest, size, base64: bytes.toString('base64') }
}

function parsePlan(text: string, key: string): ReadPlan | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text)
  if (!result.success || result.output.key !== key) return undefined
  const { unpackedSize, layerNames, ...documents } = result.output
  const config = decode(documents.config)
  const manifest = decode(documents.manifest)
  return config && manifest && { config, manifest, layers: layersOf(config, manifest), unpackedSize, layerNames }
}

/** As these two tell, which are known by their digests. */
function layersOf(config: Document, manifest: Document): PlannedLayer[] {
  return pairLayers(parseManifest(manifest.bytes, 'manifest').layers, parseConfig(config.bytes, 'config'))
}

function decode({ mediaType, digest, size, base64 }: Serialised['config']): Document | undefined {
  const bytes = Buffer.from(base64, 'base64')
  return digestOf(bytes) === digest ? { mediaType, digest, size, bytes } : undefined
}
