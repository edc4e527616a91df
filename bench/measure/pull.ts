import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { latencies } from '../calls.ts'
import { writeArchive } from '../fixtures/archive.ts'
import { lockedUrl, pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { median } from '../statistics.ts'

const SMALL = { layers: 1, filesPerLayer: 1, bytesPerFile: 1000 }
const CONCURRENT_PULLS = 200
const SEQUENTIAL_PULLS = 50

/** Concurrent pulls of a small image with a locked recipe, then sequential ones. Each build appends a line to a file. */
export async function measurePull() {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  const archive = join(bed.dir, 'archive.tar')
  const builds = join(bed.dir, 'builds')
  await writeArchive(archive, 'bench/small:1', SMALL)
  const flake = await writeFlake(bed, 'small', `echo built >> ${builds}; cp ${archive} $out`)
  const pull = pullOf('bench/small:1', await lockedUrl(bed, flake))

  await Promise.all(Array.from({ length: CONCURRENT_PULLS }, () => cri.pullImage(pull)))
  const built = (await readFile(builds, 'utf8')).trim().split('\n').length
  const again = await latencies(() => cri.pullImage(pull), SEQUENTIAL_PULLS)
  return { 'pull.again': median(again), 'pull.parallel.builds': built }
}
