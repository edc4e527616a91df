import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'

/** Files that are looked at at once. */
const MAX_LOOKS = 32

/** Once a folder has more files than `most`, removes the oldest until three quarters of that are left: that is not to be done for every file. */
export async function keepNewest(folder: string, most: number): Promise<void> {
  const names = await readdir(folder)
  if (names.length <= most) return
  const files = await pMap(names, name => withAge(join(folder, name)), { concurrency: MAX_LOOKS })
  const byAge = files.sort((one, other) => one.modified - other.modified)
  const oldest = byAge.slice(0, names.length - Math.floor(most * 0.75))
  await pMap(oldest, ({ file }) => rm(file, { force: true }), { concurrency: MAX_LOOKS })
}

async function withAge(file: string): Promise<{ file: string; modified: number }> {
  const stats = await stat(file).catch(() => undefined)
  return { file, modified: stats?.mtimeMs ?? 0 }
}
