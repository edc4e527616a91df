import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { descriptorSchema } from '../oci-index.ts'
import type { StorePathLayer } from './layer.ts'

/** What is known of a layer without reading its files. */
export interface LayerDigest {
  /** `sha256:<hex>` */
  readonly diffId: string
  /** In bytes. */
  readonly size: number
}

/** `tar`: of the layer's tar. `nar`: made from the NAR hashes of the layer's store paths. */
export type DigestKind = 'tar' | 'nar'

/** Digests of layers: a store path never changes, so they hold for ever. */
export interface DigestCache {
  /** A damaged entry counts as none. */
  recall(kind: DigestKind, layer: StorePathLayer): Promise<LayerDigest | undefined>
  remember(kind: DigestKind, layer: StorePathLayer, digest: LayerDigest): Promise<void>
}

/** One small file for each entry; any number of processes and threads may share the folder. */
export function openDigestCache(folder: string): DigestCache {
  const file = (key: string) => join(folder, `${key}.json`)
  return {
    async recall(kind, layer) {
      const key = keyOf(kind, layer)
      const text = readIfThere(file(key))
      return text === undefined ? undefined : parseEntry(text, key)
    },
    async remember(kind, layer, digest) {
      const key = keyOf(kind, layer)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const unfinished = `${file(key)}.${randomUUID()}`
      await writeFile(unfinished, formatEntry(digest, key), { mode: 0o600 })
      await rename(unfinished, file(key))
    },
  }
}

/** An image has many layers, and this runs in a thread of its own: waiting for each file costs more than reading it. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function keyOf(kind: DigestKind, layer: StorePathLayer): string {
  const { paths, owner, mtime, rootMode } = layer
  const { uid, gid, uname, gname } = owner
  return hash(JSON.stringify([kind, paths, mtime, [uid, gid, uname, gname], rootMode]))
}

const entrySchema = v.object({
  diffId: descriptorSchema.entries.digest,
  size: descriptorSchema.entries.size,
  check: v.string(),
})

/** The check tells a file that a crash or a bad disk has damaged. */
function formatEntry({ diffId, size }: LayerDigest, key: string): string {
  return JSON.stringify({ diffId, size, check: checkOf({ diffId, size }, key) })
}

function parseEntry(text: string, key: string): LayerDigest | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), entrySchema), text)
  if (!result.success) return undefined
  const { check, ...digest } = result.output
  return check === checkOf(digest, key) ? digest : undefined
}

function checkOf({ diffId, size }: LayerDigest, key: string): string {
  return hash(`${key} ${diffId} ${size}`)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
