import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { openFileCache } from '../../../lib/files/file-cache.ts'
import { descriptorSchema, type StoredBlob } from '../image/parsed-image.ts'

/**
 * Digests that were computed on this node, each by a key of everything that it depends on: store paths with their NAR hashes, and
 * what is made of them.
 */
export interface DigestCache {
  /** A damaged entry counts as none, and so does one that another user may have written. */
  recall(key: string): Promise<StoredBlob | undefined>
  remember(key: string, blob: StoredBlob): Promise<void>
}

/**
 * Some weeks of a busy node. An image may depend on the time of day, so that each of its builds has other layers.
 */
const MAX_ENTRIES = 20_000

export function openDigestCache(folder: string, mostEntries = MAX_ENTRIES): DigestCache {
  const files = openFileCache(folder, mostEntries)
  return {
    async recall(key) {
      const text = files.read(nameOf(key))
      return text === undefined ? undefined : parseEntry(text, key)
    },
    remember: (key, blob) => files.write(nameOf(key), formatEntry(blob, key)),
  }
}

function nameOf(key: string): string {
  return `${hash(key)}.json`
}

const entrySchema = v.object({ ...v.pick(descriptorSchema, ['digest', 'size']).entries, check: v.string() })

/** The check reveals a file that a crash or a bad disk has damaged. */
function formatEntry({ digest, size }: StoredBlob, key: string): string {
  return JSON.stringify({ digest, size, check: checkOf({ digest, size }, key) })
}

function parseEntry(text: string, key: string): StoredBlob | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), entrySchema), text)
  if (!result.success) return undefined
  const { check, ...blob } = result.output
  return check === checkOf(blob, key) ? blob : undefined
}

function checkOf({ digest, size }: StoredBlob, key: string): string {
  return hash(`${key} ${digest} ${size}`)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
