import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { askStatus, latencies } from '../calls.ts'
import { ONE_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { peakUntil, residentMegabytes } from '../process.ts'
import type { Result } from '../result.ts'

const CALLS_BEFORE_REST = 200
const ABSENT = 'registry.example/absent:1'

/** The resident memory of the shim's process; while it imports, with what its helpers do not share with it. */
export async function measureMemory(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  await latencies(askStatus(cri, ABSENT), CALLS_BEFORE_REST)
  const idle = await residentMegabytes(shim.daemon.pid, 'VmRSS')

  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/full:1', ONE_GIGABYTE)
  const flake = await writeFlake(bed, 'full', `cp ${archive} $out`)
  const peak = await peakUntil(shim, cri.pullImage(pullOf('bench/full:1', `path:${flake}`)))
  return [
    { name: 'rss.idle', value: idle, unit: 'MB', aim: '< 80' },
    { name: 'rss.importing', value: peak, unit: 'MB', aim: '< 150' },
  ]
}
