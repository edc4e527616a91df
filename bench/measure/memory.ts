import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { ONE_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { megabytesAtRest, peakUntil } from '../process.ts'

/** The resident memory of the shim's process; during an import, plus what its helpers do not share with it. */
export async function measureMemory() {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const idle = await megabytesAtRest(bed, shim)

  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/full:1', ONE_GIGABYTE)
  const flake = await writeFlake(bed, 'full', `cp ${archive} $out`)
  const pull = bed.cri(shim.socket).pullImage(pullOf('bench/full:1', `path:${flake}`))
  return { 'rss.idle': idle, 'rss.importing': await peakUntil(shim, pull) }
}
