import { setTimeout as delay } from 'node:timers/promises'
import type { Bed } from '../../test/node/bed.ts'
import { startBed } from '../../test/node/bed.ts'
import type { CriClient } from '../../test/node/cri.ts'
import { latencies, latenciesUntil } from '../calls.ts'
import { pullOf, pullSmallImage, SHIM_PROGRAM, writeFlake } from '../node.ts'
import { peakUntil, shimMegabytes } from '../process.ts'
import type { Result } from '../result.ts'
import { quantile } from '../statistics.ts'

const ROUNDS = 4
const WINDOW_MS = 10_000
const WARM_UP = 500
const SAMPLE_MS = 50

/** Two processors' worth of work that says nothing. */
const HONEST = 'while :; do :; done & while :; do :; done'

const RECORDS = [
  '@nix {"action":"start","id":1,"level":4,"type":101,"text":"","fields":["http://x"]}',
  '@nix {"action":"result","id":1,"type":105,"fields":[1,2,0,0]}',
  '@nix {"action":"start","id":2,"level":4,"type":101,"text":"","fields":["http://y"]}',
  '@nix {"action":"msg","level":0,"msg":"error: unable to download: HTTP error 503"}',
  `a line with escapes \\033[31m${'\\033]'.repeat(200)}`,
  `a long line ${'x'.repeat(60_000)}`,
]

/** Two processes that write as fast as they are read. */
const HOSTILE = `printf '${RECORDS.map(line => line.replaceAll('%', '%%')).join('\\n')}\\n' > lines; flood() { while :; do for n in 1 2 3 4 5 6 7 8 9; do cat lines lines lines lines; done; done; }; flood & flood`

/** ListImages beside a build that does its worst, and beside one that burns the same processors, in turns. */
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
  const builds = {
    honest: { flake: await writeFlake(bed, 'honest', HONEST), samples: [] as number[] },
    hostile: { flake: await writeFlake(bed, 'hostile', HOSTILE), samples: [] as number[] },
  }
  let most = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, { flake, samples }] of Object.entries(builds)) {
      await using _build = await startBuild(bed, cri, { image: `bench/${name}-${round}:1`, flake })
      const over = delay(WINDOW_MS)
      const peak = name === 'hostile' ? peakUntil(shim, over) : undefined
      samples.push(...(await latenciesUntil(() => cri.listImages(), over)))
      most = Math.max(most, (await peak) ?? 0)
    }
  }
  const { honest, hostile } = builds
  const p99 = { hostile: quantile(hostile.samples, 0.99), honest: quantile(honest.samples, 0.99) }
  process.stderr.write(
    `  p99 ${p99.hostile.toFixed(2)} / ${p99.honest.toFixed(2)} ms, honest stall ${Math.max(...honest.samples).toFixed(1)} ms, at rest ${rest.toFixed(1)} MB\n`,
  )
  return [
    { name: 'attack.p99.ratio', value: p99.hostile / p99.honest, unit: '', aim: '<= 2' },
    { name: 'attack.stall', value: Math.max(...hostile.samples), unit: 'ms', aim: '< 250' },
    { name: 'attack.rss', value: most - rest, unit: 'MB', aim: '< 40' },
  ]
}

interface Build {
  readonly image: string
  readonly flake: string
}

/** A pull whose builder runs; it is called off, and gone, when it is disposed of. */
async function startBuild(bed: Bed, cri: CriClient, { image, flake }: Build): Promise<AsyncDisposable> {
  const caller = new AbortController()
  const pull = cri.pullImage(pullOf(image, `path:${flake}`), { signal: caller.signal }).catch(() => {})
  const isBuilding = async () => (await bed.run('pgrep', ['-f', '[w]hile :; do'], { reject: false })).exitCode === 0
  while (!(await isBuilding())) await delay(SAMPLE_MS)
  return {
    async [Symbol.asyncDispose]() {
      caller.abort()
      await pull
      while (await isBuilding()) await delay(SAMPLE_MS)
    },
  }
}
