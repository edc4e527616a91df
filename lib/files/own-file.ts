import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/**
 * The text of a file in a folder of the shim. Undefined if the file is missing, or if another user could have created
 * or changed it.
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

/** Whether the shim owns it and no other user can write to it. */
export function isOurs({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & OTHERS_WRITE) === 0
}
