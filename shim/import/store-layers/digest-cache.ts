import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { lazy } from '../../../lib/async/lazy.ts'

import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { keepNewest } from '../../../lib/files/keep-newest.ts'

import { readOwnFile } from '../../../lib/files/own-file.ts'
import { descriptorSchema } from '../archive/oci-index.ts'
import type { StoredBlob } from '../streams/blob-store.ts'

/**
 * Digests that were made on this node, each by a key that says all that they depend on: store paths with their NAR hashes,
 * and what is made of them.
 */
export interface DigestCache {
  /** A damaged entry counts as none, and so does one that somebody else may have written. */
  recall(key: string): Promise<StoredBlob | undefined>
  remember(key: string, digest: StoredBlob): Promise<void>
}

/**
 * Entries that are kept, some weeks of a busy node; the oldest go. What an image is made of may change with the time of day, and
 * each time its layers are others.
 */
const MAX_ENTRIES = 20_000

/** One small file for each entry; any number of processes and threads may share the folder. */
export function openDigestCache(folder: string, mostEntries = MAX_ENTRIES): DigestCache {
  const file = (key: string) => join(folder, `${hash(key)}.json`)
  // Once for each import: its own entries are few.
  const tidy = lazy(() => keepNewest(folder, mostEntries))
  return {
    async recall(key) {
      // An image has many layers, and this runs in a thread of its own: waiting for each file costs more than reading it.
      const text = readOwnFile(folder, file(key))
      return text === undefined ? undefined : parseEntry(text, key)
    },
    async remember(key, digest) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await tidy()
      await writeAtomically(file(key), formatEntry(digest, key), { mode: 0o600, shared: true })
    },
  }
}

const entrySchema = v.object({
  digest: descriptorSchema.entries.digest,
  size: descriptorSchema.entries.size,
  check: v.string(),
})

/** The check tells a file that a crash or a bad disk has damaged. */
function formatEntry({ digest, size }: StoredBlob, key: string): string {
  return JSON.stringify({ digest, size, check: checkOf({ digest, size }, key) })
}

function parseEntry(text: string, key: string): StoredBlob | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), entrySchema), text)
  if (!result.success) return undefined
  const { check, ...digest } = result.output
  return check === checkOf(digest, key) ? digest : undefined
}

function checkOf({ digest, size }: StoredBlob, key: string): string {
  return hash(`${key} ${digest} ${size}`)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
