import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { lazy } from '../async/lazy.ts'
import { writeAtomically } from './atomic-file.ts'
import { readOwnFile } from './own-files.ts'

/** A folder of small text files. The oldest files are removed. Processes and threads may share the folder. */
export interface FileCache {
  /** Undefined if the file is missing, or if another user may have written it. */
  read(name: string): string | undefined
  write(name: string, text: string): Promise<void>
}

/** Keeps about `most` files. They are counted once, before the first write. */
export function openFileCache(folder: string, most: number): FileCache {
  const tidy = lazy(() => keepNewest(folder, most))
  return {
    // Synchronous, as waiting for a small file takes longer than reading it. Use it only where blocking is acceptable.
    read: name => readOwnFile(folder, join(folder, name)),
    async write(name, text) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await tidy()
      await writeAtomically(join(folder, name), text, { mode: 0o600, shared: true })
    },
  }
}

/** Files that are examined concurrently. */
const CONCURRENCY = 32

/** If there are too many files, removes a quarter more than necessary, so that this rarely runs. */
async function keepNewest(folder: string, most: number): Promise<void> {
  const names = await readdir(folder)
  if (names.length <= most) return
  const files = await pMap(names, name => withAge(join(folder, name)), { concurrency: CONCURRENCY })
  const byAge = files.sort((one, other) => one.modified - other.modified)
  const oldest = byAge.slice(0, names.length - Math.floor(most * 0.75))
  await pMap(oldest, ({ file }) => rm(file, { force: true }), { concurrency: CONCURRENCY })
}

async function withAge(file: string): Promise<{ file: string; modified: number }> {
  const stats = await stat(file).catch(() => undefined)
  return { file, modified: stats?.mtimeMs ?? 0 }
}
