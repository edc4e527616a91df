import { startBed } from '../../test/node/bed.ts'
import type { CriClient } from '../../test/node/cri.ts'
import { askStatus, callsPerSecond, latencies } from '../calls.ts'
import { pullSmallImage, startPackagedShim } from '../fixtures/node.ts'
import { median } from '../statistics.ts'

const WARM_UP = 2500
/** Calls that restore caches and clock rates after the other way had its turn. */
const RE_WARM = 200
const CALLS = 700
const CONCURRENT_CALLS = 3000
const CALLERS = 50
const ROUNDS = 12

/** ImageStatus through the shim and directly to containerd, in turns. */
export async function measurePassThrough() {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const image = await pullSmallImage(bed, shim)
  const ways = { direct: makeWay(bed.cri(), image), through: makeWay(bed.cri(shim.socket), image) }
  for (const { call } of Object.values(ways)) await latencies(call, WARM_UP)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { call, samples, rates } of Object.values(ways)) {
      await latencies(call, RE_WARM)
      samples.push(...(await latencies(call, CALLS)))
      rates.push(await callsPerSecond(call, CALLERS, CONCURRENT_CALLS))
    }
  }
  const { direct, through } = ways
  return {
    'passthrough.p50.ratio': median(through.samples) / median(direct.samples),
    'passthrough.calls.ratio': median(through.rates) / median(direct.rates),
  }
}

function makeWay(cri: CriClient, image: string) {
  const samples: number[] = []
  const rates: number[] = []
  return { call: askStatus(cri, image), samples, rates }
}
