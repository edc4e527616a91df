import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { lazy } from '../async/lazy.ts'
import { writeAtomically } from './atomic-file.ts'
import { readOwnFile } from './own-file.ts'

/** A folder of small text files, each under a name; the oldest ones are removed. Processes and threads may share it. */
export interface FileCache {
  /** Undefined when there is none, and when another user may have written it. */
  read(name: string): string | undefined
  write(name: string, text: string): Promise<void>
}

/** Keeps about `most` files, and looks at how many there are once, before the first write. */
export function openFileCache(folder: string, most: number): FileCache {
  const tidy = lazy(() => keepNewest(folder, most))
  return {
    // Waiting for a small file takes longer than reading it: this is for processes and threads that may block.
    read: name => readOwnFile(folder, join(folder, name)),
    async write(name, text) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await tidy()
      await writeAtomically(join(folder, name), text, { mode: 0o600, shared: true })
    },
  }
}

/** Files that are looked at concurrently. */
const CONCURRENCY = 32

/** Once there are too many files, removes a quarter more than that, so that this is rarely needed. */
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
