import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { openFileCache } from '../../../lib/files/file-cache.ts'
import { descriptorSchema, type StoredBlob } from '../image/parsed-image.ts'

/**
 * Digests and numbers that were computed on this node, each by a key of everything that it depends on: store paths with their NAR
 * hashes, and what is made of them. A damaged entry counts as none, and so does one that another user may have written.
 */
export interface DigestCache {
  recall(key: string): Promise<StoredBlob | undefined>
  remember(key: string, blob: StoredBlob): Promise<void>
  recallNumber(key: string): Promise<number | undefined>
  /** Remembers a number that was found with the blob, such as the entries of a tar. */
  rememberNumber(key: string, number: number, blob: StoredBlob): Promise<void>
}

/**
 * Some weeks of a busy node. An image may depend on the time of day, so that each of its builds has other layers.
 */
const MAX_ENTRIES = 20_000

export function openDigestCache(folder: string, mostEntries = MAX_ENTRIES): DigestCache {
  const files = openFileCache(folder, mostEntries)
  async function recall(key: string): Promise<StoredBlob | undefined> {
    const text = files.read(nameOf(key))
    return text === undefined ? undefined : parseEntry(text, key)
  }
  const remember = (key: string, blob: StoredBlob) => files.write(nameOf(key), formatEntry(blob, key))
  return {
    recall,
    remember,
    // Numbers have the form of version 0.1: without its entries, every tar would be made again.
    recallNumber: async key => (await recall(key))?.size,
    rememberNumber: (key, number, { digest }) => remember(key, { digest, size: number }),
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
