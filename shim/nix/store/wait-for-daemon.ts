import { setTimeout as delay } from 'node:timers/promises'
import { retry } from '../../../lib/async/retry.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import { pingDaemon } from './daemon-path-info.ts'

export interface OutageOptions {
  /** Where the Nix daemon listens; undefined when there is none. */
  readonly socket: string | undefined
  readonly signal: AbortSignal
  /** Told once, before the first wait. */
  readonly onWait: (limitMs: number) => void
  /** Longest time of all waits together. */
  readonly limitMs?: number | undefined
}

/**
 * Does it, and again whenever the Nix daemon was away meanwhile, once it answers. Throws what the last try threw, which says for
 * how long the daemon was waited for.
 */
export type RetryOutages = <Result>(attempt: () => Promise<Result>) => Promise<Result>

/** A daemon restarts in a second or two, a machine's update may take ten. */
const LIMIT_MS = 20_000
/** A daemon that goes away in the middle each time may do so because of what it is asked. */
const MAX_OUTAGES = 3
/** One that is about to end may still answer. */
const PAUSE_MS = { first: 200, most: 1_600 }

/** For one piece of work: its waits are counted together. */
export function createOutageRetry({ socket, signal, onWait, limitMs = LIMIT_MS }: OutageOptions): RetryOutages {
  let leftMs = limitMs

  async function untilBack(path: string): Promise<boolean> {
    const startedAt = performance.now()
    const restMs = () => Math.max(0, startedAt + leftMs - performance.now())
    const isOver = () => signal.aborted || restMs() === 0
    let isBack = false
    for (let pause = PAUSE_MS.first; !isBack && !isOver(); pause = Math.min(pause * 2, PAUSE_MS.most)) {
      await delay(Math.min(pause, restMs()), undefined, { signal }).catch(() => {})
      isBack = !isOver() && (await answers(path, signal))
    }
    leftMs -= performance.now() - startedAt
    return isBack
  }

  async function beforeNext(outages: number, error: unknown): Promise<void> {
    if (outages === 1) onWait(limitMs)
    const isBack = outages < MAX_OUTAGES && socket !== undefined && (await untilBack(socket))
    // The next try tells what the abort means.
    if (!isBack && !signal.aborted) throw sayWaited(error, limitMs - leftMs)
  }

  const mayPass = (error: unknown) => isDaemonAway(error) && socket !== undefined && !signal.aborted
  return attempt => retry(attempt, { mayPass, beforeNext })
}

function isDaemonAway(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'NixDaemonAway'
}

async function answers(socket: string, signal: AbortSignal): Promise<boolean> {
  try {
    await pingDaemon(socket, signal)
    return true
  } catch {
    return false
  }
}

function sayWaited(cause: unknown, waitedMs: number): RetryableError {
  const seconds = Number((waitedMs / 1000).toFixed(1))
  return new RetryableError('NixDaemonAway', `${messageOf(cause)} (it was waited for, ${seconds} s in all)`, { cause })
}
