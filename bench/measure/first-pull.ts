import { join } from 'node:path'
import * as v from 'valibot'
import { hostSystem } from '../../recipes/system.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { writeArchive } from '../archive.ts'
import { latencies } from '../calls.ts'
import { pullOf, startPackagedShim, writeFlake } from '../node.ts'
import type { Result } from '../result.ts'
import { median } from '../statistics.ts'

const ROUNDS = 15
const LIMIT_MS = 60_000
/** The first ones fill caches of the machine. */
const WARM_UP = 2

/**
 * First pulls of tiny recipes, each of its own flake, against the evaluation and build of such a flake by hand, in turn; a daemon runs
 * for both.
 */
export async function measureFirstPull(): Promise<Result[]> {
  await using bed = await startBed()
  const shim = await startPackagedShim(bed)
  const cri = bed.cri(shim.socket)
  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/first:1', { layers: 1, filesPerLayer: 1, bytesPerFile: 1000 })
  const newFlake = (name: string) => writeFlake(bed, name, `cp ${archive} $out`)
  const pulls: number[] = []
  const byHand: number[] = []
  for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
    const pull = pullOf(`bench/first:${round}`, `path:${await newFlake(`pulled-${round}`)}`)
    pulls.push(...(await latencies(() => cri.pullImage(pull), 1)))
    byHand.push(await buildByHand(bed, await newFlake(`by-hand-${round}`)))
  }
  const overhead = median(pulls.slice(WARM_UP)) - median(byHand.slice(WARM_UP))
  return [{ name: 'pull.first.overhead', value: overhead, unit: 'ms', aim: '< 150' }]
}

const SCRIPT = `
set -eu
start=$(date +%s%N)
drv=$(nix eval --raw "path:$1#packages.$2.image.drvPath")
nix build "$drv" --no-link
end=$(date +%s%N)
echo $(((end - start) / 1000))
`

/** In milliseconds, measured where it runs. */
async function buildByHand(bed: Bed, dir: string): Promise<number> {
  const { stdout } = await bed.run('sh', ['-c', SCRIPT, 'sh', dir, hostSystem()], { limitMs: LIMIT_MS })
  return v.parse(v.pipe(v.string(), v.trim(), v.digits(), v.transform(Number)), stdout) / 1000
}
