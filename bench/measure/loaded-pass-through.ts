import { join } from 'node:path'
import { type Bed, startBed } from '../../test/node/bed.ts'
import type { Shim } from '../../test/node/shim.ts'
import { askStatus, latencies, latenciesInTurnsUntil } from '../calls.ts'
import { HALF_A_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { buildClosure, pullOfClosure } from '../fixtures/closure.ts'
import { buildBefore, pullOf, pullSmallImage, SHIM_PROGRAM, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { listImages, removeImages } from '../images.ts'
import { quantile } from '../statistics.ts'

const ARCHIVE_ROUNDS = 4
/** A tar import takes about ten times as long as a linked one. */
const STORE_ROUNDS = { linked: 10, tar: 2 }

/** ImageStatus through the shim and directly to containerd, in turns, while images are imported; and through the shim at rest. */
export async function measureLoadedPassThrough() {
  const archive = await callDuringArchives()
  const stores = [await callDuringStoreImages('linked'), await callDuringStoreImages('tar')]
  return {
    'passthrough.p99.importing.loaded.ratio': loadedRatio(archive),
    'passthrough.p99.linking.loaded.ratio': Math.max(...stores.map(loadedRatio)),
    'passthrough.p99.importing.ratio': p99(archive.through) / p99(archive.atRest),
    'passthrough.p99.linking.ratio':
      p99(stores.flatMap(({ through }) => through)) / p99(stores.flatMap(({ atRest }) => atRest)),
  }
}

/** Latencies in ms. */
interface Samples {
  readonly atRest: readonly number[]
  readonly direct: readonly number[]
  readonly through: readonly number[]
}

async function callDuringArchives(): Promise<Samples> {
  await using bed = await startBed()
  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/half:1', HALF_A_GIGABYTE)
  const flake = await writeFlake(bed, 'half', `cp ${archive} $out`)
  await buildBefore(bed, flake)
  const shim = await startPackagedShim(bed)
  const pull = () => bed.cri(shim.socket).pullImage(pullOf('bench/half:1', `path:${flake}`))
  return await callDuring({ bed, shim, load: 'archive', rounds: ARCHIVE_ROUNDS }, pull)
}

async function callDuringStoreImages(layers: 'linked' | 'tar'): Promise<Samples> {
  await using bed = await startBed()
  const { url } = await buildClosure(bed)
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { import: { layers } } })
  const pull = () => bed.cri(shim.socket).pullImage(pullOfClosure('first', url))
  return await callDuring({ bed, shim, load: layers, rounds: STORE_ROUNDS[layers] }, pull)
}

const WARM_UP = 2500
const CALLS_AT_REST = 3000

interface Load {
  readonly bed: Bed
  readonly shim: Shim
  readonly load: string
  readonly rounds: number
}

/** Each round imports everything anew. */
async function callDuring({ bed, shim, load, rounds }: Load, pull: () => Promise<unknown>): Promise<Samples> {
  const image = await pullSmallImage(bed, shim)
  const ways = { direct: askStatus(bed.cri(), image), through: askStatus(bed.cri(shim.socket), image) }
  for (const call of Object.values(ways)) await latencies(call, WARM_UP)
  const atRest = await latencies(ways.through, CALLS_AT_REST)
  const before = new Set(await listImages(bed))
  const direct: number[] = []
  const through: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const samples = await latenciesInTurnsUntil(ways, pull())
    direct.push(...samples.direct)
    through.push(...samples.through)
    const imported = (await listImages(bed)).filter(name => !before.has(name))
    await removeImages(bed, imported)
  }
  const [ours, theirs, rest] = [through, direct, atRest].map(samples => p99(samples).toFixed(2))
  process.stderr.write(
    `  ${load}: p99 ${ours} ms through, ${theirs} ms direct, ${rest} ms at rest; ${through.length} calls each\n`,
  )
  return { atRest, direct, through }
}

function loadedRatio({ direct, through }: Samples): number {
  return p99(through) / p99(direct)
}

function p99(samples: readonly number[]): number {
  return quantile(samples, 0.99)
}
