import { join } from 'node:path'
import { hostSystem } from '../../recipes/system.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { latencies } from '../calls.ts'
import { writeArchive } from '../fixtures/archive.ts'
import { pullOf, startPackagedShim, writeFlake } from '../fixtures/node.ts'
import { scriptTime } from '../script-time.ts'
import { median } from '../statistics.ts'

const ROUNDS = 15
/** The first rounds fill caches of the machine. */
const WARM_UP = 2

/** First pulls of tiny images, and evaluation and build of equal flakes by hand, in turns. Each has a flake of its own; both use a Nix daemon. */
export async function measureFirstPull() {
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
  return { 'pull.first.overhead': median(pulls.slice(WARM_UP)) - median(byHand.slice(WARM_UP)) }
}

/** In ms. */
function buildByHand(bed: Bed, dir: string): Promise<number> {
  const commands = 'drv=$(nix eval --raw "path:$1#packages.$2.image.drvPath")\nnix build "$drv" --no-link'
  return scriptTime(bed, commands, [dir, hostSystem()])
}
