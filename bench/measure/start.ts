import { startBed } from '../../test/node/bed.ts'
import { timed } from '../calls.ts'
import { startPackagedShim } from '../fixtures/node.ts'

const STARTS = 10

/**
 * From the start of the process until it answers its first call, ImageFsInfo. The least of several starts is that of an idle machine,
 * whatever else the machine did during the others.
 */
export async function measureStart() {
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
  process.stderr.write(`  ${samples.map(ms => Math.round(ms)).join(', ')} ms\n`)
  return { start: Math.min(...samples) }
}
