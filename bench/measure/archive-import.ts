import { join } from 'node:path'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { timed } from '../calls.ts'
import { ONE_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { buildBefore, pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { median } from '../statistics.ts'

const IMAGE = 'bench/full:1'
const ROUNDS = 2
const LIMIT_MS = 300_000

/** In ms. */
interface Times {
  readonly first: number
  readonly again: number
}

/** Imports of a 1 GB docker-archive that is already built: by a pull through the shim and by `ctr images import`, in turns, each on a fresh node. */
export async function measureArchiveImport() {
  const byShim: Times[] = []
  const byCtr: Times[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    byCtr.push(await onFreshNode(importByCtr))
    byShim.push(await onFreshNode(importByShim))
  }
  const ratioOf = (which: keyof Times) => {
    const [shim, ctr] = [median(byShim.map(times => times[which])), median(byCtr.map(times => times[which]))]
    process.stderr.write(`  archive, ${which}: ${Math.round(shim)} ms by the shim, ${Math.round(ctr)} ms by ctr\n`)
    return shim / ctr
  }
  return { 'import.archive.first.ratio': ratioOf('first'), 'import.archive.again.ratio': ratioOf('again') }
}

async function onFreshNode(measure: (bed: Bed, archive: string) => Promise<Times>): Promise<Times> {
  await using bed = await startBed()
  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, IMAGE, ONE_GIGABYTE)
  return await measure(bed, archive)
}

async function importByCtr(bed: Bed, archive: string): Promise<Times> {
  const args = ['--address', bed.containerdSocket, '--namespace', 'k8s.io', 'images', 'import', archive]
  const run = () => bed.run('ctr', args, { limitMs: LIMIT_MS })
  return { first: await timed(run), again: await timed(run) }
}

/** The second pull asks for the archive under another name: only the image record is missing. */
async function importByShim(bed: Bed, archive: string): Promise<Times> {
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  const flake = await writeFlake(bed, 'full', `cp ${archive} $out`)
  await buildBefore(bed, flake)
  const first = await timed(() => cri.pullImage(pullOf(IMAGE, `path:${flake}`)))
  const again = await timed(() => cri.pullImage(pullOf('bench/full:2', `path:${flake}`)))
  return { first, again }
}
