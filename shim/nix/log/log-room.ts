import { statfs } from 'node:fs/promises'
import type { Room } from '../../../lib/queues/fair-excess.ts'

/** Limit for all runs together, on a large file system. */
const ROOM: Room = { count: 400, bytes: 1024 ** 3 }
/** Share of the file system. Others write to `/var/log`, too, and a full one stops some of them. */
const MAX_SHARE = 0.05
const MAX_FILE_SIZE = 16 * 1024 ** 2
/** A run has two files, and leaves room for other runs. */
const MIN_FILES = 16

export interface FileSystem {
  /** 0 if it does not tell. */
  readonly blocks: number
  readonly bsize: number
}

/** Limit for all runs together, on this file system. */
export function roomOn({ blocks, bsize }: FileSystem): Room {
  const size = blocks * bsize
  return { ...ROOM, bytes: size > 0 ? Math.min(ROOM.bytes, Math.floor(size * MAX_SHARE)) : ROOM.bytes }
}

/** Limit for all logs on the file system of the folder, which may be missing. */
export async function roomForLogs(dir: string): Promise<Room> {
  const system = await statfs(dir).catch(() => undefined)
  return system ? roomOn(system) : ROOM
}

/** Larger logs are rotated: `RUN.log`, and `RUN.log.1` with what came before. In bytes. */
export function maxFileSize({ bytes }: Room): number {
  return Math.min(MAX_FILE_SIZE, Math.floor(bytes / MIN_FILES))
}
