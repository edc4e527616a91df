import { join } from 'node:path'
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
import { type AuditLog, createAuditLog } from '../fixtures/audit-log.ts'
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

async function measureCopies([first, second, third]: Peers) {
  const { url } = await writeClosure(first.bed)
  const recipe = { image: 'registry.example/share/closure:1', flakeUrl: url, packageName: 'conf.closure' }
  const pull = (peer: Peer) => timed(() => peer.kubelet.pullImage(recipePull(recipe)))
  const built = await pull(first)
  const copied = await pull(second)
  const { stdout } = await first.bed.run('nix', ['eval', '--raw', `${url}#conf.closure.outPath`])
  // The cache of a node keeps what it knows of a path: both copies find it warm.
  const alone = await timed(() =>
    third.bed.run('nix', ['copy', '--from', first.server.url, stdout], {
      user: third.bed.buildUser,
      limitMs: LIMIT_MS,
    }),
  )
  process.stderr.write(
    `  built ${Math.round(built)} ms, copied ${Math.round(copied)} ms, nix copy ${Math.round(alone)} ms\n`,
  )
  return { 'share.second.ratio': copied / built, 'share.copy.rate': copied / alone }
}

async function writeClosure({ dir, run }: Bed) {
  const names = Array.from({ length: PATHS }, (_, n) => `library-${n}`)
  const flake = await writeStoreImages(dir, {
    trees: Object.fromEntries(names.map((name, seed) => [name, ['many', `${seed + 1}`, `${FILES}`, `${BYTES}`]])),
    images: {
      closure: {
        layers: names.map(name => [name]),
        customization: { script: `sleep ${BUILD_SECONDS}; mkdir tmp` },
        config: { Cmd: ['/bin/true'] },
      },
    },
  })
  return lockExample(flake, run)
}

const WAIT_MS = 60_000

/** Requests of a node that waits for the build of another one, and then copies, without the renewals of its own Lease. */
async function measureWaiting(cluster: Cluster, [first, second]: Peers, audit: AuditLog): Promise<number> {
  const flake = await makeCountedFlake(cluster)
  const recipe = flake.recipe('registry.example/share/waits:1')
  const pull = ({ kubelet }: Peer) => kubelet.pullImage(podPull('default', recipe))
  const building = pull(first)
  while ((await flake.builds()) === 0) await pause(100)
  const isOwnLease = (text: string) => text.includes(` leases  enbi-system `)
  const requestsOf = async () =>
    (await audit.read()).filter(({ node, text }) => node === second.node && !isOwnLease(text))
  const before = (await requestsOf()).length
  const waiting = pull(second)
  await pause(WAIT_MS)
  await flake.open()
  await Promise.all([building, waiting])
  await pause(AFTERWARDS_MS)
  const requests = (await requestsOf()).slice(before)
  for (const { text } of requests) process.stderr.write(`  ${text}\n`)
  return requests.length
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
