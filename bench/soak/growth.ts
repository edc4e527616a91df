import { setTimeout as delay } from 'node:timers/promises'
import type { Daemon } from '../../test/node/daemon.ts'
import { shimMegabytes } from '../process.ts'
import { median } from '../statistics.ts'

export interface Sample {
  /** Share of the run, from 0 to 1. */
  readonly at: number
  readonly megabytes: number
  readonly pid: number
}

const SAMPLE_MS = 2_000

/** Memory of a process with its helpers until the run is over. Meanwhile it may be restarted. */
export async function sampleMemory(daemon: Daemon, runMs: number, over: AbortSignal): Promise<Sample[]> {
  const begin = performance.now()
  const samples: Sample[] = []
  while (!over.aborted) {
    const at = (performance.now() - begin) / runMs
    const { pid } = daemon
    if (pid !== undefined) {
      // It may end meanwhile.
      const megabytes = await shimMegabytes({ daemon }).catch(() => undefined)
      if (megabytes !== undefined) samples.push({ at, megabytes, pid })
    }
    await delay(SAMPLE_MS, undefined, { signal: over }).catch(() => {})
  }
  return samples
}

/** Median of the last quarter / median of the second one. Throws if they are not of one process, or if there is none. */
export function growthOf(samples: readonly Sample[]): number {
  const pids = new Set(samples.filter(({ at }) => at >= 0.25).map(({ pid }) => pid))
  if (pids.size !== 1) throw new Error(`the memory of ${pids.size} processes cannot be compared`)
  const medianFrom = (begin: number) =>
    median(samples.filter(({ at }) => at >= begin && at < begin + 0.25).map(({ megabytes }) => megabytes))
  return medianFrom(0.75) / medianFrom(0.25)
}
