import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { type Bed, startBed } from '../../test/node/bed.ts'
import type { Shim } from '../../test/node/shim.ts'
import { timed } from '../calls.ts'
import { diskUsage } from '../disk-usage.ts'
import { buildClosure, type Closure, closureImage, type ImageName, pullOfClosure } from '../fixtures/closure.ts'
import { pullSmallImage, SHIM_PROGRAM } from '../fixtures/node.ts'
import { peakUntil } from '../process.ts'
import { scriptTime } from '../script-time.ts'

/** Imports of both images, one after the other, on a node that has their store paths. */
interface Imports {
  /** Without the build. */
  readonly ms: Readonly<Record<ImageName, number>>
  /** Disk that the first import takes. */
  readonly bytes: number
}

interface ShimImports extends Imports {
  /** Peak memory in MB. */
  readonly rss: number
}

interface Node {
  readonly bed: Bed
  readonly closure: Closure
}

const LIMIT_MS = 600_000

/**
 * Imports of store-path images: by the shim as linked layers and as tars, and by streaming them into `ctr`. Each way has a node
 * of its own. Nothing is deleted meanwhile: ext4 without a journal allocates inodes slowly for minutes after many were deleted.
 */
export async function measureStoreImport() {
  await using nodes = new AsyncDisposableStack()
  const makeNode = async (): Promise<Node> => {
    const bed = nodes.use(await startBed())
    return { bed, closure: await buildClosure(bed) }
  }
  const [linkedNode, tarNode, ctrNode] = [await makeNode(), await makeNode(), await makeNode()]
  const limitBefore = await linkFirst(linkedNode, 'before')
  const linked = await importByShim(linkedNode, 'linked')
  const limitAfter = await linkFirst(linkedNode, 'after')
  const tar = await importByShim(tarNode, 'tar')
  const ctr = await importByCtr(ctrNode)
  report({ ctr, linked, tar })
  process.stderr.write(`  cp -al: ${Math.round(limitBefore)} ms before, ${Math.round(limitAfter)} ms after\n`)
  return {
    'import.linked.limit.ratio': linked.ms.first / ((limitBefore + limitAfter) / 2),
    'import.linked.changed': linked.ms.changed,
    'import.linked.changed.speedup': ctr.ms.changed / linked.ms.changed,
    'import.linked.first.speedup': ctr.ms.first / linked.ms.first,
    'import.linked.disk.ratio': linked.bytes / ctr.bytes,
    'import.tar.first.speedup': ctr.ms.first / tar.ms.first,
    'import.tar.changed.speedup': ctr.ms.changed / tar.ms.changed,
    'import.native.rss': Math.max(linked.rss, tar.rss),
  }
}

/** What `cp -al` takes for the store paths of the first image, in ms: the least that linking them can take. */
async function linkFirst({ bed, closure: { firstPaths } }: Node, name: string): Promise<number> {
  // Below the bed's folder and not below /nix, which is another mount: files cannot be linked across mounts.
  const sources = firstPaths.map(path => join(bed.dir, path))
  const target = join(bed.dir, `linked-${name}`)
  await bed.run('sh', ['-c', 'mkdir "$1"; sync', 'sh', target], { limitMs: LIMIT_MS })
  return await scriptTime(bed, 'cp -al "$@"', ['--target-directory', target, ...sources])
}

async function importByShim({ bed, closure: { url } }: Node, layers: 'linked' | 'tar'): Promise<ShimImports> {
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { import: { layers } } })
  const cri = bed.cri(shim.socket)
  await pullSmallImage(bed, shim)
  await bed.run('sync', [], { limitMs: LIMIT_MS })
  const before = await diskUsage(bed)
  const ofFirst = await peakUntil(shim, cri.pullImage(pullOfClosure('first', url)))
  const bytes = (await diskUsage(bed)) - before
  const ofChanged = await peakUntil(shim, cri.pullImage(pullOfClosure('changed', url)))
  const ms = { first: await importMs(shim, 'first'), changed: await importMs(shim, 'changed') }
  await shim.daemon.stop()
  return { ms, bytes, rss: Math.max(ofFirst, ofChanged) }
}

const importedLine = v.object({ msg: v.literal('imported'), image: v.string(), ms: v.number() })

/** From the shim's log: from the end of the build until containerd's CRI knows the image. */
async function importMs(shim: Shim, name: ImageName): Promise<number> {
  const lines = (await readFile(shim.daemon.logPath, 'utf8')).split('\n').filter(line => line.startsWith('{'))
  for (const line of lines) {
    const result = v.safeParse(importedLine, JSON.parse(line))
    if (result.success && result.output.image === closureImage(name)) return result.output.ms
  }
  throw new Error(`the shim's log has no import of ${name}`)
}

async function importByCtr({ bed, closure: { scripts } }: Node): Promise<Imports> {
  const stream = '"$1" 2>/dev/null | ctr --address "$2" --namespace k8s.io images import -'
  const run = (name: ImageName) =>
    bed.run('sh', ['-c', stream, 'sh', scripts[name], bed.containerdSocket], { limitMs: LIMIT_MS })
  await bed.run('sync', [], { limitMs: LIMIT_MS })
  const first = await timed(() => run('first'))
  const bytes = await diskUsage(bed)
  const changed = await timed(() => run('changed'))
  return { ms: { first, changed }, bytes }
}

function report(ways: Readonly<Record<string, Imports>>): void {
  for (const [way, { ms, bytes }] of Object.entries(ways))
    process.stderr.write(
      `  ${way}: ${Math.round(ms.first)} ms, changed ${Math.round(ms.changed)} ms, ${Math.round(bytes / 1e6)} MB of disk\n`,
    )
}
