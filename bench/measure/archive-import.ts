import { join } from 'node:path'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { timed } from '../calls.ts'
import { ONE_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { buildBefore, pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import type { Result } from '../result.ts'
import { median } from '../statistics.ts'

const IMAGE = 'bench/full:1'
const ROUNDS = 2
const LIMIT_MS = 300_000

interface Times {
  readonly first: number
  readonly again: number
}

/** A 1 GB docker-archive: the shim's pull of what is built already against `ctr images import`, each on a fresh node, in turns. */
export async function measureArchiveImport(): Promise<Result[]> {
  const ours: Times[] = []
  const theirs: Times[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    theirs.push(await onFreshNode(importByCtr))
    ours.push(await onFreshNode(importByShim))
  }
  return [
    ratio('import.archive.first.ratio', ours, theirs, 'first', '<= 0.8'),
    ratio('import.archive.again.ratio', ours, theirs, 'again', '<= 0.1'),
  ]
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

/** The second pull is of another name: everything is there but the image record. */
async function importByShim(bed: Bed, archive: string): Promise<Times> {
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  const flake = await writeFlake(bed, 'full', `cp ${archive} $out`)
  await buildBefore(bed, flake)
  const first = await timed(() => cri.pullImage(pullOf(IMAGE, `path:${flake}`)))
  const again = await timed(() => cri.pullImage(pullOf('bench/full:2', `path:${flake}`)))
  return { first, again }
}

function ratio(
  name: string,
  ours: readonly Times[],
  theirs: readonly Times[],
  which: keyof Times,
  aim: string,
): Result {
  const [value, base] = [ours, theirs].map(times => median(times.map(time => time[which])))
  if (value === undefined || base === undefined) throw new Error('nothing was measured')
  process.stderr.write(`  ${name}: ${Math.round(value)} ms / ${Math.round(base)} ms\n`)
  return { name, value: value / base, unit: '', aim }
}
