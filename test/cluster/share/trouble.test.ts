import { setInterval } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Bed } from '../../node/bed.ts'
import type { PodRecipe } from '../../node/recipe-pull.ts'
import { podPull } from '../../shim/cluster/shim-with-cluster.ts'
import { countLogged, untilLogged } from '../../shim/pull/builds.ts'
import type { Cluster } from '../cluster.ts'
import { useCluster } from '../use-cluster.ts'
import { type CountedFlake, makeCountedFlake } from './counted-flake.ts'
import { type Peer, type PeerOptions, startPeer, startSigningBeds } from './peers.ts'

/** How long the copier waits for other nodes. */
const WAIT = '10s'

const kept = new AsyncDisposableStack()
let cluster: Cluster
let builder: Peer
let copier: Peer
/** Nobody trusts its key. */
let stranger: Peer

beforeAll(async () => {
  cluster = kept.use(await useCluster())
  const beds = await startSigningBeds(kept, ['builder', 'copier', 'stranger'], ['builder', 'copier'])
  const [first, second, third] = await Promise.all(beds.map(bed => startPeerOn(bed)))
  if (!first || !second || !third) throw new Error('there are three peers')
  builder = first
  copier = second
  stranger = third
})
afterAll(() => kept.disposeAsync())

test('a node copies what another one has built, and signed with a trusted key', async () => {
  const { flake, recipe } = await builtOn(builder, 'copied')
  const id = await pull(copier, recipe)
  expect(await flake.builds()).toBe(1)
  expect((await builder.bed.cri().imageStatus(recipe.image))?.id).toBe(id)
})

test.each([
  ['does not answer', 'away', { away: true }],
  ['is too slow', 'slow', { bytesPerSecond: 20_000 }],
  ['sends other bytes than it has signed', 'corrupt', { corrupt: true }],
])('a node builds by itself if the cache of the node that built %s', async (_name, tag, behavior) => {
  const { flake, recipe } = await builtOn(builder, tag)
  builder.server.behave(behavior)
  onTestFinished(() => builder.server.behave({}))
  const before = await copyFailures()
  await pull(copier, recipe)
  expect(await flake.builds()).toBe(2)
  expect(await copyFailures()).toBe(before + 1)
})

test('a node builds by itself if it does not trust the key of the node that built, and fetches nothing from it', async () => {
  const { flake, recipe } = await builtOn(stranger, 'untrusted')
  const asked = stranger.server.asked.length
  const before = await copyFailures()
  await pull(copier, recipe)
  expect(await flake.builds()).toBe(2)
  expect(await copyFailures()).toBe(before + 1)
  expect(stranger.server.asked.slice(asked)).toEqual([expect.stringMatching(/\.narinfo$/)])
})

test('each node builds by itself without an API server', async () => {
  const { flake, recipe } = await builtOn(builder, 'no-api-server')
  await using alone = await startPeerOn(copier.bed, { server: 'https://127.0.0.1:1' })
  await pull(alone, recipe)
  expect(await flake.builds()).toBe(2)
})

test('a claim that nobody releases is taken over', async () => {
  const { flake, recipe } = await prepare('left')
  await claimAs('node-gone', await pathOf(recipe))
  await pull(copier, recipe)
  expect(await flake.builds()).toBe(1)
})

test('a node that claims everything, and builds nothing, delays others by their limit', async () => {
  const { flake, recipe } = await prepare('greedy')
  const storePath = await pathOf(recipe)
  await claimAs('node-greedy', storePath)
  const stop = new AbortController()
  const renewing = (async () => {
    for await (const _ of setInterval(1000, undefined, { signal: stop.signal })) await claimAs('node-greedy', storePath)
  })().catch(() => {})
  try {
    await pull(copier, recipe)
  } finally {
    stop.abort()
    await renewing
  }
  expect(await flake.builds()).toBe(1)
})

test('a node that must not build waits for one that does, and copies', async () => {
  const { flake, recipe } = await prepare('fetch-only')
  await using fetcher = await startPeerOn(copier.bed, { nix: { build: 'never' }, share: { wait: '30m' } })
  const pulling = pull(fetcher, recipe)
  await untilLogged(fetcher.shim, 'build started', recipe.image)
  const [fetched, built] = await Promise.all([pulling, pull(builder, recipe)])
  expect(fetched).toBe(built)
  expect(await flake.builds()).toBe(1)
})

test('a node that must not build says so if no other node builds', async () => {
  const { flake, recipe } = await prepare('nobody')
  await using fetcher = await startPeerOn(copier.bed, { nix: { build: 'never' }, share: { wait: '3s' } })
  await expect(pull(fetcher, recipe)).rejects.toThrow('no other node or store had')
  expect(await flake.builds()).toBe(0)
})

function startPeerOn(bed: Bed, { share, ...options }: PeerOptions = {}): Promise<Peer> {
  return startPeer({ cluster, kept }, bed, { ...options, share: { wait: WAIT, copyTimeout: '5s', ...share } })
}

async function prepare(tag: string): Promise<{ readonly flake: CountedFlake; readonly recipe: PodRecipe }> {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  return { flake, recipe: flake.recipe(`registry.example/trouble/${tag}:1`) }
}

/** A flake whose image that node has built. */
async function builtOn(peer: Peer, tag: string) {
  const prepared = await prepare(tag)
  await pull(peer, prepared.recipe)
  expect(await prepared.flake.builds()).toBe(1)
  return prepared
}

/** Failed copies that the copier has logged so far. */
function copyFailures(): Promise<number> {
  return countLogged(copier.shim, 'copying a store path failed')
}

/** As the kubelet of the node does. Returns the image id. */
function pull({ kubelet }: Peer, recipe: PodRecipe): Promise<string> {
  return kubelet.pullImage(podPull('default', recipe))
}

async function pathOf({ flakeUrl, packageName }: PodRecipe): Promise<string> {
  const { stdout } = await builder.bed.run('nix', ['eval', '--raw', `${flakeUrl}#${packageName}.outPath`])
  return stdout
}

/** Claims the path for a node, now. */
async function claimAs(node: string, storePath: string): Promise<void> {
  await cluster.apply({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      namespace: 'enbi-claims',
      name: `path-${storePath.slice('/nix/store/'.length).slice(0, 32)}`,
      labels: { 'enbi.hrzn.ee/claim': 'path' },
      annotations: { 'enbi.hrzn.ee/store-path': storePath },
    },
    spec: {
      holderIdentity: node,
      leaseDurationSeconds: 5,
      renewTime: new Date().toISOString().replace('Z', '000Z'),
    },
  })
}
