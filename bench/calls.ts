import type { CriClient } from '../test/node/cri.ts'

/** Latencies in ms of `count` calls, one after another. */
export async function latencies(call: () => Promise<unknown>, count: number): Promise<number[]> {
  const samples: number[] = []
  for (let n = 0; n < count; n += 1) samples.push(await timed(call))
  return samples
}

/** Latencies in ms of calls, one after another, until `done` resolves. */
export async function latenciesUntil(call: () => Promise<unknown>, done: Promise<unknown>): Promise<number[]> {
  const samples: number[] = []
  let isDone = false
  const ended = done.finally(() => {
    isDone = true
  })
  while (!isDone) samples.push(await timed(call))
  await ended
  return samples
}

/** Calls a second that `callers` make between them. */
export async function callsPerSecond(call: () => Promise<unknown>, callers: number, count: number): Promise<number> {
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: callers }, () => latencies(call, count / callers)))
  return (count * 1000) / (performance.now() - startedAt)
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

/** What a kubelet asks most: an image that is there. */
export function askStatus(cri: CriClient, image: string): () => Promise<unknown> {
  return () => cri.imageStatus(image)
}
