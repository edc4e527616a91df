import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import type { Closure } from './closure.ts'

/** Whether anything has that path, including a dangling link. Throws ImportInterrupted. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (cause) {
    if (hasCode(cause, 'ENOENT', 'ENOTDIR')) return false
    throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Files that are looked at concurrently. */
const MAX_OPEN = 32

/** Names of the programs in `bin`, sorted, without those that start with a dot: wrappers hide the wrapped program there. */
export async function listPrograms(folder: string, closure: Closure): Promise<string[]> {
  await using bin = await closure.find(join(folder, 'bin'))
  if (!bin?.stats.isDirectory()) return []
  const visible = (await bin.list()).filter(name => !name.startsWith('.')).sort()
  const found = await pMap(visible, name => isProgram(join(bin.path, name), closure), { concurrency: MAX_OPEN })
  return visible.filter((_, index) => found[index])
}

const ANY_EXECUTE = 0o111

/** Whether it is an executable file of the closure, as the image has no others. */
export async function isProgram(path: string, closure: Closure): Promise<boolean> {
  await using found = await closure.find(path)
  return found?.stats.isFile() === true && (found.stats.mode & ANY_EXECUTE) !== 0
}
