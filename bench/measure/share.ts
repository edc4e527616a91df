import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { type Cluster, startCluster } from '../../test/cluster/cluster.ts'
import { makeCountedFlake } from '../../test/cluster/share/counted-flake.ts'
import { type Peer, startPeer, startSigningBeds } from '../../test/cluster/share/peers.ts'
import type { Bed } from '../../test/node/bed.ts'
import { lockExample } from '../../test/node/example.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'
import { writeStoreImages } from '../../test/node/store-image.ts'
import { podPull } from '../../test/shim/cluster/shim-with-cluster.ts'
import { timed } from '../calls.ts'
import { writeArchive } from '../fixtures/archive.ts'
import { type AuditedRequest, type AuditLog, createAuditLog } from '../fixtures/audit-log.ts'
import { pullOf, SHIM_PROGRAM, writeFlake } from '../fixtures/node.ts'
import { median } from '../statistics.ts'

/** Three nodes with stores of their own, on one machine: what one of them builds, the others copy over loopback. */
export async function measureShare() {
  await using kept = new AsyncDisposableStack()
  const audit = kept.use(await createAuditLog())
  const cluster = kept.use(await startCluster({ apiServerFlags: audit.flags }))
  await cluster.installDeploy()
  const beds = await startSigningBeds(kept, ['first', 'second', 'third'])
  const [first, second, third] = await Promise.all(
    beds.map(bed => startPeer({ cluster, kept }, bed, { shim: SHIM_PROGRAM })),
  )
  if (!first || !second || !third) throw new Error('there are three nodes')
  const peers = [first, second, third] as const
  return {
    ...(await measureHerd(cluster, peers)),
    ...(await measureCopies(peers)),
    'share.wait.requests': await measureWaiting(cluster, peers, audit),
    'share.overhead': await measureOverhead(cluster, kept),
  }
}

type Peers = readonly [Peer, Peer, Peer]

async function measureHerd(cluster: Cluster, peers: Peers) {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  const recipe = flake.recipe('registry.example/share/herd:1')
  await Promise.all(peers.map(({ kubelet }) => kubelet.pullImage(podPull('default', recipe))))
  return { 'share.builds': await flake.builds() }
}

/** Of 30 store paths with 10 MB each, besides the image's own. */
const PATHS = 30
const FILES = 100
const BYTES = 100_000
const BUILD_SECONDS = 20
const LIMIT_MS = 300_000

/** Of images that have no store path in common. In every second round `nix copy` is first. */
const COPIES = 6

async function measureCopies(peers: Peers) {
  const samples: Copies[] = []
  for (let round = 0; round < COPIES; round += 1) samples.push(await measureCopy(peers, round))
  for (const { built, copied, copying, alone } of samples) {
    const parts = `copying and importing ${round(copying)} ms, nix copy ${round(alone)} ms`
    process.stderr.write(`  built ${round(built)} ms, pulled ${round(copied)} ms: ${parts}\n`)
  }
  return {
    'share.second.ratio': median(samples.map(({ copied, built }) => copied / built)),
    'share.copy.rate': median(samples.map(({ copying, alone }) => copying / alone)),
  }
}

const { round } = Math

/** In ms. */
interface Copies {
  readonly built: number
  /** The whole pull. */
  readonly copied: number
  /** The same without evaluation and claim. */
  readonly copying: number
  readonly alone: number
}

async function measureCopy([first, second, third]: Peers, number: number): Promise<Copies> {
  const { url } = await writeClosure(first.bed, number)
  const recipe = { image: `registry.example/share/closure:${number}`, flakeUrl: url, packageName: 'conf.closure' }
  const pull = (peer: Peer) => timed(() => peer.kubelet.pullImage(recipePull(recipe)))
  const built = await pull(first)
  const { stdout } = await first.bed.run('nix', ['eval', '--raw', `${url}#conf.closure.outPath`])
  await warmUp(first, stdout)
  const copyAlone = async () => {
    await writeBack(third)
    const options = { user: third.bed.buildUser, limitMs: LIMIT_MS }
    return timed(() => third.bed.run('nix', ['copy', '--from', first.server.url, stdout], options))
  }
  const before = number % 2 === 0 ? await copyAlone() : undefined
  await writeBack(second)
  const copied = await pull(second)
  const copying = Date.now() - (await copyBegan(second, recipe.image))
  return { built, copied, copying, alone: before ?? (await copyAlone()) }
}

/** What is still to be written to disk would slow down what comes next. */
async function writeBack({ bed }: Peer): Promise<void> {
  await bed.run('sync', [], { limitMs: LIMIT_MS })
}

const logRecord = v.object({ time: v.number(), msg: v.string(), image: v.optional(v.string()) })

/** As the shim's log says, in ms since 1970. */
async function copyBegan({ shim }: Peer, wanted: string): Promise<number> {
  const lines = (await readFile(shim.daemon.logPath, 'utf8')).split('\n').filter(line => line !== '')
  const records = lines.map(line => v.parse(logRecord, JSON.parse(line)))
  const began = records.find(({ msg, image }) => msg === 'copy started' && image === wanted)
  if (!began) throw new Error(`${wanted} was not copied`)
  return began.time
}

/** The server of the tests asks Nix once about each path: neither copy is to wait for that. */
async function warmUp({ bed, server }: Peer, storePath: string): Promise<void> {
  const { stdout } = await bed.run('nix-store', ['--query', '--requisites', storePath])
  for (const path of stdout.split('\n')) await fetch(`${server.url}/${basename(path).slice(0, HASH_LENGTH)}.narinfo`)
}

const HASH_LENGTH = 32

async function writeClosure({ dir, run }: Bed, number: number) {
  const names = Array.from({ length: PATHS }, (_, n) => `library-${n}`)
  const flake = await writeStoreImages(dir, {
    trees: Object.fromEntries(
      names.map((name, seed) => [name, ['many', `${number * PATHS + seed + 1}`, `${FILES}`, `${BYTES}`]]),
    ),
    images: {
      closure: {
        layers: names.map(name => [name]),
        customization: { script: `sleep ${BUILD_SECONDS}; mkdir tmp; echo ${number} > tmp/number` },
        config: { Cmd: ['/bin/true'] },
      },
    },
  })
  return lockExample(flake, run)
}

const WAIT_MS = 60_000

/** All requests of the node from its pull to the end of the build, but for those that it makes without a pull. */
async function measureWaiting(cluster: Cluster, [first, second]: Peers, audit: AuditLog): Promise<number> {
  const flake = await makeCountedFlake(cluster)
  const recipe = flake.recipe('registry.example/share/waits:1')
  const pull = ({ kubelet }: Peer) => kubelet.pullImage(podPull('default', recipe))
  const building = pull(first)
  while ((await flake.builds()) === 0) await pause(100)
  const isOfPull = ({ node, text }: AuditedRequest) => node === second.node && !text.includes(` ${SYSTEM_NAMESPACE} `)
  const requestsOf = async () => (await audit.read()).filter(isOfPull)
  const before = (await requestsOf()).length
  const waiting = pull(second)
  await pause(WAIT_MS)
  const whileItWaits = (await requestsOf()).slice(before)
  await flake.open()
  await Promise.all([building, waiting])
  await pause(AFTERWARDS_MS)
  const all = (await requestsOf()).slice(before)
  process.stderr.write(`  ${whileItWaits.length} of these requests before the end of the build:\n`)
  for (const { text } of all) process.stderr.write(`  ${text}\n`)
  return whileItWaits.length
}

/** Some writes come late. */
const AFTERWARDS_MS = 5000

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

const ROUNDS = 15
const WARM_UP = 2

/** First pulls of tiny images on one node, by a shim that shares and by one that does not, in turns. */
async function measureOverhead(cluster: Cluster, kept: AsyncDisposableStack): Promise<number> {
  const [bed] = await startSigningBeds(kept, ['alone'])
  if (!bed) throw new Error('there is one bed')
  const on = await startPeer({ cluster, kept }, bed, { shim: SHIM_PROGRAM })
  const off = await startPeer({ cluster, kept }, bed, { shim: SHIM_PROGRAM, share: false })
  const samples = { on: [] as number[], off: [] as number[] }
  const archive = join(bed.dir, 'archive.tar')
  await writeArchive(archive, 'bench/small:1', { layers: 1, filesPerLayer: 1, bytesPerFile: 1000 })
  for (let round = 0; round < WARM_UP + ROUNDS; round += 1)
    for (const [name, { kubelet }] of Object.entries({ on, off })) {
      const flake = await writeFlake(bed, `${name}-${round}`, `cp ${archive} $out`)
      const pull = pullOf(`registry.example/share/${name}:${round}`, `path:${flake}`)
      samples[name === 'on' ? 'on' : 'off'].push(await timed(() => kubelet.pullImage(pull)))
    }
  return median(samples.on.slice(WARM_UP)) - median(samples.off.slice(WARM_UP))
}
