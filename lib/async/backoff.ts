import { setTimeout as delay } from 'node:timers/promises'

const SHORTEST_MS = 100
const LONGEST_MS = 10_000

/** Waits before the next try, longer after each failure and never for as long as somebody else. Returns at once when the signal aborts. */
export async function backOff(failures: number, signal: AbortSignal, longestMs = LONGEST_MS): Promise<void> {
  await delay(backOffMs(failures, longestMs), undefined, { signal }).catch(() => {})
}

/** `failures`: how many there have been in a row, at least 1. */
export function backOffMs(failures: number, longestMs = LONGEST_MS, random = Math.random): number {
  const most = Math.min(SHORTEST_MS * 2 ** (failures - 1), longestMs)
  return most / 2 + (random() * most) / 2
}
