import { mkdirSync, rmdirSync, statSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { hasCode } from '../error-code.ts'

const RETRY_MS = 20
/** A lock is held for milliseconds, for a connect test and a bind: an older one was left by a process that died. */
const ABANDONED_AFTER_MS = 10_000

/** Runs `work` while no other process does so for the same `path`; the lock is a folder beside it. */
export async function withSocketLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`
  while (!tryLock(lock)) await wait(RETRY_MS)
  try {
    return await work()
  } finally {
    removeLock(lock)
  }
}

function tryLock(lock: string): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    removeAbandoned(lock)
    return false
  }
}

function removeAbandoned(lock: string): void {
  const stats = statSync(lock, { throwIfNoEntry: false })
  if (stats !== undefined && Date.now() - stats.mtimeMs > ABANDONED_AFTER_MS) removeLock(lock)
}

function removeLock(lock: string): void {
  try {
    rmdirSync(lock)
  } catch (error) {
    // Another process considered it abandoned.
    if (!hasCode(error, 'ENOENT')) throw error
  }
}
