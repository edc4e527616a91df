import { setTimeout as delay } from 'node:timers/promises'
import type { Bed } from '../../test/node/bed.ts'
import { startBed } from '../../test/node/bed.ts'
import type { Shim } from '../../test/node/shim.ts'
import { readStatus } from '../../test/status/read-status.ts'
import { type Attack, honestBuild, hostileRuns } from '../attacks.ts'
import { latencies, latenciesUntil } from '../calls.ts'
import { pullOf, pullSmallImage, SHIM_PROGRAM } from '../node.ts'
import { peakUntil, shimMegabytes } from '../process.ts'
import type { Result } from '../result.ts'
import { quantile } from '../statistics.ts'

const ROUNDS = 2
const WINDOW_MS = 10_000
const WARM_UP = 500
const SAMPLE_MS = 50

/** ListImages beside a builder, an evaluation and an archive that do their worst, and beside an honest build, in turns. */
export async function measureAttack(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await bed.startShim({
    ...SHIM_PROGRAM,
    config: { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } },
  })
  const cri = bed.cri(shim.socket)
  await pullSmallImage(bed, shim)
  await latencies(() => cri.listImages(), WARM_UP)
  const rest = await shimMegabytes(shim)
  const honest = { attack: await honestBuild(bed), samples: [] as number[] }
  const hostile = Object.entries(await hostileRuns(bed)).map(([name, attack]) => {
    return { name, attack, samples: [] as number[] }
  })
  let most = 0
  const during = async (attack: Attack, image: string, samples: number[]) => {
    await using _run = await startRun(bed, shim, attack, image)
    const over = delay(WINDOW_MS)
    const peak = peakUntil(shim, over)
    samples.push(...(await latenciesUntil(() => cri.listImages(), over)))
    return peak
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, attack, samples } of hostile) {
      await during(honest.attack, `bench/honest-${name}-${round}:1`, honest.samples)
      most = Math.max(most, await during(attack, `bench/hostile-${name}-${round}:1`, samples))
    }
  }
  const calm = quantile(honest.samples, 0.99)
  for (const { name, samples } of hostile)
    process.stderr.write(
      `  ${name}: p99 ${quantile(samples, 0.99).toFixed(2)} / ${calm.toFixed(2)} ms, longest ${Math.max(...samples).toFixed(1)} ms\n`,
    )
  const worst = Math.max(...hostile.map(({ samples }) => quantile(samples, 0.99)))
  return [
    { name: 'attack.p99.ratio', value: worst / calm, unit: '', aim: '<= 2' },
    { name: 'attack.stall', value: Math.max(...hostile.flatMap(({ samples }) => samples)), unit: 'ms', aim: '< 250' },
    { name: 'attack.rss', value: most - rest, unit: 'MB', aim: '< 40' },
  ]
}

/** A pull whose run has come to its worst; it is called off, and gone, when it is disposed of. */
async function startRun(bed: Bed, shim: Shim, { flake, phases }: Attack, image: string): Promise<AsyncDisposable> {
  const caller = new AbortController()
  let failure: unknown
  const pull = bed
    .cri(shim.socket)
    .pullImage(pullOf(image, `path:${flake}`), { signal: caller.signal })
    .catch(error => {
      failure = error
    })
  const phaseNow = async () =>
    (await readStatus(shim.socket)).runs.find(run => run.image.endsWith(image))?.progress.phase
  while (!phases.includes((await phaseNow()) ?? '')) {
    if (failure !== undefined) throw failure
    await delay(SAMPLE_MS)
  }
  return {
    async [Symbol.asyncDispose]() {
      if (failure !== undefined) throw failure
      caller.abort()
      await pull
      while ((await phaseNow()) !== undefined) await delay(SAMPLE_MS)
    },
  }
}
