import { setTimeout as delay } from 'node:timers/promises'
import { startBed } from '../../test/node/bed.ts'
import { latenciesUntil } from '../calls.ts'
import { startAttack } from '../fixtures/attack-run.ts'
import { type Attack, honestBuild, hostileRuns } from '../fixtures/attacks.ts'
import { pullSmallImage, SHIM_PROGRAM } from '../fixtures/node.ts'
import { peakUntil, untilNoHelper } from '../process.ts'
import { raisePriority } from '../raise-priority.ts'
import { quantile } from '../statistics.ts'

const ROUNDS = 2
const WINDOW_MS = 10_000

/** ListImages beside a hostile builder, evaluation and archive, and beside an honest build, in turns. */
export async function measureAttack() {
  await using bed = await startBed()
  const shim = await bed.startShim({
    ...SHIM_PROGRAM,
    config: { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } },
  })
  const cri = bed.cri(shim.socket)
  await pullSmallImage(bed, shim)
  await untilNoHelper(shim)
  // Many calls take memory even without an attack.
  const calmWindow = delay(WINDOW_MS)
  const calmPeak = peakUntil(shim, calmWindow)
  await latenciesUntil(() => cri.listImages(), calmWindow)
  const rest = await calmPeak
  const during = async (attack: Attack, image: string) => {
    await using _run = await startAttack(bed, shim, attack, image)
    using _priority = raisePriority()
    const over = delay(WINDOW_MS)
    const peak = peakUntil(shim, over)
    const samples = await latenciesUntil(() => cri.listImages(), over)
    return { samples, megabytes: (await peak) - rest }
  }
  const honest = await honestBuild(bed)
  const calm: number[] = []
  const worst: Worst[] = []
  for (const [name, attack] of Object.entries(await hostileRuns(bed))) {
    const samples: number[] = []
    const growths: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      calm.push(...(await during(honest, `bench/honest-${name}-${round}:1`)).samples)
      const hostile = await during(attack, `bench/hostile-${name}-${round}:1`)
      samples.push(...hostile.samples)
      growths.push(hostile.megabytes)
    }
    worst.push({ name, p99: quantile(samples, 0.99), stall: Math.max(...samples), growth: Math.max(...growths) })
  }
  const calmP99 = quantile(calm, 0.99)
  report([{ name: 'honest', p99: calmP99, stall: Math.max(...calm), growth: 0 }, ...worst])
  return {
    'attack.p99.ratio': Math.max(...worst.map(({ p99 }) => p99)) / calmP99,
    'attack.stall': Math.max(...worst.map(({ stall }) => stall)),
    'attack.rss': Math.max(...worst.map(({ growth }) => growth)),
  }
}

interface Worst {
  readonly name: string
  readonly p99: number
  readonly stall: number
  /** Memory in MB above that of the shim without an attack. */
  readonly growth: number
}

function report(kinds: readonly Worst[]): void {
  for (const { name, p99, stall, growth } of kinds)
    process.stderr.write(
      `  ${name}: p99 ${p99.toFixed(2)} ms, longest ${stall.toFixed(1)} ms, ${growth.toFixed(1)} MB more\n`,
    )
}
