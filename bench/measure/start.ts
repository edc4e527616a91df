import { startBed } from '../../test/node/bed.ts'
import { timed } from '../calls.ts'
import { startPackagedShim } from '../fixtures/node.ts'
import type { Result } from '../result.ts'
import { median } from '../statistics.ts'

const STARTS = 7

/** From the start of the process to the answer of the first call, ImageFsInfo, as a kubelet makes it. */
export async function measureStart(): Promise<Result[]> {
  await using bed = await startBed()
  const samples: number[] = []
  for (let n = 0; n < STARTS; n += 1) {
    let stop = async (): Promise<unknown> => undefined
    samples.push(
      await timed(async () => {
        const shim = await startPackagedShim(bed)
        stop = () => shim.daemon.stop()
      }),
    )
    await stop()
  }
  return [{ name: 'start', value: median(samples), unit: 'ms', aim: '< 400' }]
}
