import type { Stats } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { hasCode } from '../../error-code.ts'
import { messageOf, RetryableError } from '../../errors.ts'

/** Whether there is anything by that name, a dangling link included. Throws ImportInterrupted. */
export async function isThere(path: string): Promise<boolean> {
  return (await unlessMissing(path, lstat(path))) !== undefined
}

/** Names of the programs in `bin`, sorted; those that start with a dot are the insides of wrappers. */
export async function listPrograms(folder: string, store: string): Promise<string[]> {
  const bin = join(folder, 'bin')
  const names = (await unlessMissing(bin, readdir(bin))) ?? []
  const visible = names.filter(name => !name.startsWith('.')).sort()
  const found = await Promise.all(visible.map(name => isProgram(join(bin, name), store)))
  return visible.filter((_, index) => found[index])
}

/** Whether it is a file that may be run, in the store: the image has nothing else. */
export async function isProgram(path: string, store: string): Promise<boolean> {
  const [resolved, root] = await Promise.all([
    unlessMissing(path, realpath(path)),
    unlessMissing(store, realpath(store)),
  ])
  if (resolved === undefined || root === undefined || !resolved.startsWith(root + sep)) return false
  return isExecutable(await unlessMissing(resolved, stat(resolved)))
}

const ANY_EXECUTE = 0o111

function isExecutable(stats: Stats | undefined): boolean {
  return stats?.isFile() === true && (stats.mode & ANY_EXECUTE) !== 0
}

async function unlessMissing<Value>(path: string, read: Promise<Value>): Promise<Value | undefined> {
  try {
    return await read
  } catch (cause) {
    if (hasCode(cause, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG')) return undefined
    throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}
