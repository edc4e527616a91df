import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { type Bed, startBed } from '../../test/node/bed.ts'
import type { Pull } from '../../test/node/cri.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'
import type { Shim } from '../../test/node/shim.ts'
import { askStatus, latencies, latenciesUntil, timed } from '../calls.ts'
import { diskUsage } from '../disk-usage.ts'
import { buildClosure, type Closure, type ImageName } from '../fixtures/closure.ts'
import { pullSmallImage, SHIM_PROGRAM } from '../fixtures/node.ts'
import { peakUntil } from '../process.ts'
import type { Result } from '../result.ts'
import { quantile } from '../statistics.ts'

/** What importing the two images, one after another, takes on a node that has their store paths. */
interface Measured {
  /** In ms, without the build. */
  readonly ms: Readonly<Record<ImageName, number>>
  /** Disk that the first one takes. */
  readonly bytes: number
}

interface Node {
  readonly bed: Bed
  readonly closure: Closure
}

interface MeasuredShim extends Measured {
  readonly rss: number
}

const NAMES: readonly ImageName[] = ['first', 'changed']
const LIMIT_MS = 600_000
const CALLS_AT_REST = 3000
const WARM_UP = 500

/**
 * Images of store paths: streamed into `ctr`, as people do, against the shim's linked layers and its tars. Each way has a
 * node of its own, and nothing is deleted before all have been timed: ext4 without a journal looks for a new inode among
 * all those that were deleted in the last minutes.
 */
export async function measureStoreImport(): Promise<Result[]> {
  await using nodes = new AsyncDisposableStack()
  const makeNode = async (): Promise<Node> => {
    const bed = nodes.use(await startBed())
    return { bed, closure: await buildClosure(bed) }
  }
  const [linkedNode, tarNode, archiveNode] = [await makeNode(), await makeNode(), await makeNode()]
  const linked = await importByShim(linkedNode, 'linked')
  const tar = await importByShim(tarNode, 'tar')
  const archive = await importByCtr(archiveNode)
  const busy = [...(await callsDuring(linkedNode, 'linked')), ...(await callsDuring(tarNode, 'tar'))]
  const atRest = await measureAtRest(linkedNode.bed)
  tell({ archive, linked, tar })
  return [
    { name: 'import.linked.first.speedup', value: archive.ms.first / linked.ms.first, unit: '', aim: '>= 40' },
    { name: 'import.linked.changed.speedup', value: archive.ms.changed / linked.ms.changed, unit: '', aim: '>= 150' },
    { name: 'import.linked.changed', value: linked.ms.changed, unit: 'ms', aim: '< 100' },
    { name: 'import.tar.first.speedup', value: archive.ms.first / tar.ms.first, unit: '', aim: '>= 2.5' },
    { name: 'import.tar.changed.speedup', value: archive.ms.changed / tar.ms.changed, unit: '', aim: '>= 30' },
    { name: 'import.linked.disk.ratio', value: linked.bytes / archive.bytes, unit: '', aim: '<= 0.05' },
    { name: 'import.native.rss', value: Math.max(linked.rss, tar.rss), unit: 'MB', aim: '< 150' },
    {
      name: 'passthrough.p99.linking.ratio',
      value: quantile(busy, 0.99) / quantile(atRest, 0.99),
      unit: '',
      aim: '<= 1.25',
    },
  ]
}

async function importByCtr({ bed, closure: { scripts } }: Node): Promise<Measured> {
  const stream = '"$1" 2>/dev/null | ctr --address "$2" --namespace k8s.io images import -'
  const run = (name: ImageName) =>
    bed.run('sh', ['-c', stream, 'sh', scripts[name], bed.containerdSocket], { limitMs: LIMIT_MS })
  const first = await timed(() => run('first'))
  const bytes = await diskUsage(bed)
  const changed = await timed(() => run('changed'))
  return { ms: { first, changed }, bytes }
}

async function importByShim({ bed, closure: { url } }: Node, layers: 'linked' | 'tar'): Promise<MeasuredShim> {
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { import: { layers } } })
  const cri = bed.cri(shim.socket)
  await pullSmallImage(bed, shim)
  const before = await diskUsage(bed)
  const ofFirst = await peakUntil(shim, cri.pullImage(pullOf('first', url)))
  const bytes = (await diskUsage(bed)) - before
  const ofChanged = await peakUntil(shim, cri.pullImage(pullOf('changed', url)))
  const ms = { first: await importMs(shim, 'first'), changed: await importMs(shim, 'changed') }
  await shim.daemon.stop()
  return { ms, bytes, rss: Math.max(ofFirst, ofChanged) }
}

/** What calls of ImageStatus take, one after another, while both images are imported; they are built before. */
async function callsDuring({ bed, closure: { url } }: Node, layers: 'linked' | 'tar'): Promise<number[]> {
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { import: { layers } } })
  const cri = bed.cri(shim.socket)
  for (const name of NAMES) await cri.pullImage(pullOf(name, url))
  await removeImages(bed)
  const call = askStatus(cri, await pullSmallImage(bed, shim))
  await latencies(call, WARM_UP)
  const samples: number[] = []
  for (const name of NAMES) samples.push(...(await latenciesUntil(call, cri.pullImage(pullOf(name, url)))))
  await shim.daemon.stop()
  return samples
}

function pullOf(name: ImageName, flakeUrl: string): Pull {
  return recipePull({ image: imageName(name), flakeUrl, packageName: `conf.${name}` })
}

async function measureAtRest(bed: Bed): Promise<number[]> {
  const shim = await bed.startShim(SHIM_PROGRAM)
  const small = await pullSmallImage(bed, shim)
  const call = askStatus(bed.cri(shim.socket), small)
  await latencies(call, WARM_UP)
  return latencies(call, CALLS_AT_REST)
}

function imageName(name: ImageName): string {
  return `registry.example/bench/${name}:1`
}

const importedLine = v.object({ msg: v.literal('imported'), image: v.string(), ms: v.number() })

/** As the shim itself logs it: from the end of the build until containerd's CRI answers with the image. */
async function importMs(shim: Shim, name: ImageName): Promise<number> {
  const lines = (await readFile(shim.daemon.logPath, 'utf8')).split('\n').filter(line => line.startsWith('{'))
  for (const line of lines) {
    const result = v.safeParse(importedLine, JSON.parse(line))
    if (result.success && result.output.image === imageName(name)) return result.output.ms
  }
  throw new Error(`the shim's log has no import of ${name}`)
}

/** And all that they alone hold. */
async function removeImages(bed: Bed): Promise<void> {
  const ctr = ['--address', bed.containerdSocket, '--namespace', 'k8s.io', 'images']
  const { stdout } = await bed.run('ctr', [...ctr, 'ls', '-q'])
  const images = stdout.split('\n').filter(line => line !== '')
  if (images.length > 0) await bed.run('ctr', [...ctr, 'rm', '--sync', ...images], { limitMs: LIMIT_MS })
}

function tell(ways: Readonly<Record<string, Measured>>): void {
  for (const [way, { ms, bytes }] of Object.entries(ways))
    process.stderr.write(
      `  ${way}: ${Math.round(ms.first)} ms, changed ${Math.round(ms.changed)} ms, ${Math.round(bytes / 1e6)} MB of disk\n`,
    )
}
