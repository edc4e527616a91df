import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'

const NICENESS = 10

/** Of this thread: calls that pass through the main thread go first. Children inherit it. */
export function lowerPriority(): void {
  const threadId = Number(basename(readlinkSync('/proc/thread-self')))
  setPriority(threadId, NICENESS)
}
