import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startPackagedShim } from '../../bench/fixtures/node.ts'
import type { Bed } from '../../test/node/bed.ts'
import { CRI_TOOLS } from '../../test/setup/go/programs.mjs'
import { startNodeWithRegistry } from '../registry/node-with-registry.ts'
import { type Outcome, readReport } from './read-report.ts'
import { pushStandIns } from './stand-ins.ts'

export interface CritestOutcomes {
  readonly direct: Outcome
  /** As a kubelet with `imageServiceEndpoint` asks. */
  readonly imagesThroughShim: Outcome
  readonly allThroughShim: Outcome
}

/** Runs critest against containerd, and through a shim, on a node of its own. */
export async function runCritest(): Promise<CritestOutcomes> {
  await using node = await startNodeWithRegistry()
  const { bed, registry } = node
  await pushStandIns(registry)
  await bed.importPauseImage()
  const shim = await startPackagedShim(bed)
  const [containerd, proxied] = [bed.containerdSocket, shim.socket]
  return {
    direct: await critest(bed, { name: 'direct', runtime: containerd, images: containerd }),
    imagesThroughShim: await critest(bed, { name: 'images', runtime: containerd, images: proxied }),
    allThroughShim: await critest(bed, { name: 'all', runtime: proxied, images: proxied }),
  }
}

interface Endpoints {
  readonly name: string
  readonly runtime: string
  readonly images: string
}

const LIMIT_MS = 15 * 60_000
/** The order of the tests, which is otherwise random. */
const SEED = 1

async function critest(bed: Bed, { name, runtime, images }: Endpoints): Promise<Outcome> {
  process.stderr.write(`running critest: ${name} …\n`)
  const folder = join(bed.dir, `critest-${name}`)
  await mkdir(folder)
  const report = join(folder, 'report.json')
  const args = [
    `--runtime-endpoint=unix://${runtime}`,
    `--image-endpoint=unix://${images}`,
    `--ginkgo.seed=${SEED}`,
    '--ginkgo.skip=benchmark',
    `--ginkgo.json-report=${report}`,
  ]
  // Its status says whether a test failed. The report names them.
  const { stdout } = await bed.run(join(CRI_TOOLS.dir, 'critest'), args, {
    cwd: folder,
    limitMs: LIMIT_MS,
    reject: false,
  })
  const text = await readFile(report, 'utf8').catch(cause => {
    throw new Error(`critest wrote no report:\n${stdout.slice(-2000)}`, { cause })
  })
  return readReport(text)
}
