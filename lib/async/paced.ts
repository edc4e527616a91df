import { setTimeout as delay } from 'node:timers/promises'

export interface Pace {
  /** Average rate. */
  readonly bytesPerSecond: number
  /** Bytes that may pass without a pause after an idle time. */
  readonly burstBytes: number
}

export interface Clock {
  /** In milliseconds. */
  now(): number
  wait(ms: number): Promise<unknown>
}

const CLOCK: Clock = { now: () => performance.now(), wait: ms => delay(ms) }

/** Yields the chunks no faster than the pace allows, and makes their source wait. */
export async function* paced(
  chunks: AsyncIterable<Uint8Array>,
  { bytesPerSecond, burstBytes }: Pace,
  { now, wait } = CLOCK,
): AsyncGenerator<Uint8Array> {
  let saved = burstBytes
  let since = now()
  for await (const chunk of chunks) {
    yield chunk
    const passed = now() - since
    since += passed
    saved = Math.min(burstBytes, saved + (passed * bytesPerSecond) / 1000) - chunk.length
    if (saved < 0) await wait((-saved * 1000) / bytesPerSecond)
  }
}
