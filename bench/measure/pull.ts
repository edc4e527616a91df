import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { latencies } from '../calls.ts'
import { writeArchive } from '../fixtures/archive.ts'
import { lockedUrl, pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import type { Result } from '../result.ts'
import { median } from '../statistics.ts'

const SMALL = { layers: 1, filesPerLayer: 1, bytesPerFile: 1000 }
const PULLS_AT_ONCE = 200
const PULLS_AGAIN = 50

/** A small image of a locked recipe: 200 pulls at once, each build leaving a line in a file, then one pull after another. */
export async function measurePull(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  const archive = join(bed.dir, 'archive.tar')
  const builds = join(bed.dir, 'builds')
  await writeArchive(archive, 'bench/small:1', SMALL)
  const flake = await writeFlake(bed, 'small', `echo built >> ${builds}; cp ${archive} $out`)
  const pull = pullOf('bench/small:1', await lockedUrl(bed, flake))

  await Promise.all(Array.from({ length: PULLS_AT_ONCE }, () => cri.pullImage(pull)))
  const built = (await readFile(builds, 'utf8')).trim().split('\n').length
  const again = await latencies(() => cri.pullImage(pull), PULLS_AGAIN)
  return [
    { name: 'pull.again', value: median(again), unit: 'ms', aim: '< 50' },
    { name: 'pull.parallel.builds', value: built, unit: 'builds', aim: '= 1' },
  ]
}
