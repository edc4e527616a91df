import { join } from 'node:path'
import { startBed } from '../../test/node/bed.ts'
import { askStatus, callsPerSecond, latencies, latenciesUntil } from '../calls.ts'
import { HALF_A_GIGABYTE, writeArchive } from '../fixtures/archive.ts'
import { buildBefore, pullOf, pullSmallImage, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import type { Result } from '../result.ts'
import { median, quantile } from '../statistics.ts'

const WARM_UP = 2500
/** Calls that bring caches and clocks back after the other side had its turn. */
const RE_WARM = 200
const CALLS = 700
const CALLS_AT_ONCE = 3000
const CALLERS = 50
const ROUNDS = 12

/** ImageStatus through the shim against ImageStatus at containerd, in turns. */
export async function measurePassThrough(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const image = await pullSmallImage(bed, shim)
  const ways = {
    direct: { call: askStatus(bed.cri(), image), samples: [] as number[], rates: [] as number[] },
    through: { call: askStatus(bed.cri(shim.socket), image), samples: [] as number[], rates: [] as number[] },
  }
  for (const { call } of Object.values(ways)) await latencies(call, WARM_UP)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { call, samples, rates } of Object.values(ways)) {
      await latencies(call, RE_WARM)
      samples.push(...(await latencies(call, CALLS)))
      rates.push(await callsPerSecond(call, CALLERS, CALLS_AT_ONCE))
    }
  }
  const { direct, through } = ways

  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/half:1', HALF_A_GIGABYTE)
  const flake = await writeFlake(bed, 'half', `cp ${archive} $out`)
  await buildBefore(bed, flake)
  const pull = bed.cri(shim.socket).pullImage(pullOf('bench/half:1', `path:${flake}`))
  const importing = await latenciesUntil(through.call, pull)
  const atRest = await latencies(through.call, importing.length)

  return [
    ratio('passthrough.p50.ratio', median(through.samples), median(direct.samples), '<= 2.5'),
    ratio('passthrough.p99.importing.ratio', quantile(importing, 0.99), quantile(atRest, 0.99), '<= 1.25'),
    ratio('passthrough.calls.ratio', median(through.rates), median(direct.rates), '>= 0.3'),
  ]
}

function ratio(name: string, value: number, base: number, aim: string): Result {
  process.stderr.write(`  ${name}: ${value.toFixed(3)} / ${base.toFixed(3)}\n`)
  return { name, value: value / base, unit: '', aim }
}
