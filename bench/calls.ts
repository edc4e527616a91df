import type { CriClient } from '../test/node/cri.ts'

type Call = () => Promise<unknown>

/** Latencies in ms of `count` sequential calls. */
export async function latencies(call: Call, count: number): Promise<number[]> {
  const samples: number[] = []
  for (let n = 0; n < count; n += 1) samples.push(await timed(call))
  return samples
}

/** Latencies in ms of sequential calls until `done` resolves. */
export async function latenciesUntil(call: Call, done: Promise<unknown>): Promise<number[]> {
  const samples: number[] = []
  const load = follow(done)
  while (!load.isOver) samples.push(await timed(call))
  await load.end
  return samples
}

/** Short enough for both ways to see the same load. */
const CALLS_IN_TURN = 10

/** Latencies in ms of sequential calls until `done` resolves, made directly and through the shim in turns. */
export async function latenciesInTurnsUntil(ways: { direct: Call; through: Call }, done: Promise<unknown>) {
  const direct: number[] = []
  const through: number[] = []
  const load = follow(done)
  while (!load.isOver) {
    direct.push(...(await latencies(ways.direct, CALLS_IN_TURN)))
    through.push(...(await latencies(ways.through, CALLS_IN_TURN)))
  }
  await load.end
  return { direct, through }
}

function follow(done: Promise<unknown>) {
  const load = {
    isOver: false,
    end: done.finally(() => {
      load.isOver = true
    }),
  }
  return load
}

/** Calls per second of concurrent callers. */
export async function callsPerSecond(call: Call, callers: number, count: number): Promise<number> {
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: callers }, () => latencies(call, count / callers)))
  return (count * 1000) / (performance.now() - startedAt)
}

export async function timed(work: Call): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

/** The kubelet's most frequent call. */
export function askStatus(cri: CriClient, image: string): Call {
  return () => cri.imageStatus(image)
}
