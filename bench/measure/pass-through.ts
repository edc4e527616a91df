import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { HALF_A_GIGABYTE, writeArchive } from '../archive.ts'
import { askStatus, callsPerSecond, latencies, latenciesUntil } from '../calls.ts'
import { buildBefore, pullOf, pullSmallImage, startPackagedShim, writeFlake } from '../node.ts'
import type { Result } from '../result.ts'
import { median, quantile } from '../statistics.ts'

const WARM_UP = 2000
const CALLS = 3000
const CALLERS = 50
const ROUNDS = 2

/** ImageStatus through the shim against ImageStatus at containerd, in turns. */
export async function measurePassThrough(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const image = await pullSmallImage(bed, shim)
  const direct = askStatus(bed.cri(), image)
  const through = askStatus(bed.cri(shim.socket), image)
  await latencies(direct, WARM_UP)
  await latencies(through, WARM_UP)

  const samples = { direct: [] as number[], through: [] as number[] }
  const rates = { direct: [] as number[], through: [] as number[] }
  for (let round = 0; round < ROUNDS; round += 1) {
    samples.direct.push(...(await latencies(direct, CALLS)))
    samples.through.push(...(await latencies(through, CALLS)))
    rates.direct.push(await callsPerSecond(direct, CALLERS, CALLS))
    rates.through.push(await callsPerSecond(through, CALLERS, CALLS))
  }

  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/half:1', HALF_A_GIGABYTE)
  const flake = await writeFlake(bed, 'half', `cp ${archive} $out`)
  await buildBefore(bed, flake)
  const atRest = await latencies(through, CALLS)
  const pull = bed.cri(shim.socket).pullImage(pullOf('bench/half:1', `path:${flake}`))
  const importing = await latenciesUntil(through, pull)

  return [
    ratio('passthrough.p50.ratio', median(samples.through), median(samples.direct), '<= 2.5'),
    ratio('passthrough.p99.importing.ratio', quantile(importing, 0.99), quantile(atRest, 0.99), '<= 1.25'),
    ratio('passthrough.calls.ratio', median(rates.through), median(rates.direct), '>= 0.3'),
  ]
}

function ratio(name: string, value: number, base: number, aim: string): Result {
  process.stderr.write(`  ${name}: ${value.toFixed(3)} / ${base.toFixed(3)}\n`)
  return { name, value: value / base, unit: '', aim }
}
