import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/**
 * The text of a file that the shim has written into a folder of its own; undefined when there is none, and when anybody
 * else could have put it there, or written to it.
 */
export function readOwnFile(folder: string, path: string): string | undefined {
  try {
    if (!isOurs(lstatSync(folder))) return undefined
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stats = fstatSync(file)
      return stats.isFile() && isOurs(stats) ? readFileSync(file, 'utf8') : undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}

/** Write permission of group and others. */
const OTHERS_WRITE = 0o022

/** Whether nobody else can write to it. */
export function isOurs({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & OTHERS_WRITE) === 0
}
