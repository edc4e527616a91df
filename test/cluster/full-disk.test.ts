import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { writeMadeFlake } from '../node/made-flake.ts'

import { PATIENT } from '../patience.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podManifest, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

// The store and the images of containerd share a small disk. The kubelet evicts pods when 15% of it are left, its own default.

const RULE = { namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }

/** Free share of the disk. */
const EVICTED_BELOW = 0.15

let cluster: WholeCluster
let node: ClusterNode
let keeper: PodName

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode({
    storeDisk: '400m',
    kubeletConfig: {
      imageMinimumGCAge: '1ms',
      evictionHard: {
        'memory.available': '1Mi',
        'nodefs.available': '1Mi',
        'imagefs.available': `${EVICTED_BELOW * 100}%`,
      },
      evictionPressureTransitionPeriod: '1s',
    },
    shim: { config: { policy: [RULE], nix: { collectGarbage: { when: 'always' } } } },
  })
  keeper = { namespace: await cluster.createNamespace(), name: 'keeper' }
  await run(keeper, 1)
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('a full disk evicts no pod: Nix frees what images held that the kubelet removes', async () => {
  await fillDisk()
  await expect.poll(freeShare, PATIENT).toBeGreaterThan(EVICTED_BELOW)
  expect(await reasonOf(keeper)).toBeUndefined()
  expect(await evictions()).toEqual([])
})

test('without garbage collection the kubelet frees nothing, and evicts pods', async () => {
  const { configPath, daemon } = node.shim
  const config = await readFile(configPath, 'utf8')
  await writeFile(
    configPath,
    stringify({ ...parse(config), nix: { user: 'nobody', collectGarbage: { when: 'never' } } }),
  )
  await daemon.restart()
  await fillDisk()
  await expect.poll(() => reasonOf(keeper), PATIENT).toBe('Evicted')
})

/** Runs pods with large images, which only leave their images, until the kubelet removes images. */
async function fillDisk(): Promise<void> {
  while ((await freeShare()) > EVICTED_BELOW + 0.09) await runAndDelete(30)
  // It removes no image that it has not seen before, and looks for images at its start.
  await node.kubelet.restart()
  const images = await imageCount()
  await runAndDelete(40)
  await expect.poll(imageCount, PATIENT).toBeLessThan(images)
}

async function runAndDelete(megabytes: number): Promise<void> {
  const { namespace } = keeper
  const pod = { namespace, name: `large-${randomUUID()}` }
  await run(pod, megabytes)
  await cluster.kubectl(['delete', 'pod', pod.name, `--namespace=${namespace}`])
}

async function run(pod: PodName, megabytes: number): Promise<void> {
  const image = `registry.example/disk/${pod.name}:1`
  const script = `mkdir -p $out/bin; cp /usr/bin/busybox $out/bin; dd if=/dev/urandom of=$out/data bs=1M count=${megabytes} 2>/dev/null`
  const made = `let made = make "${pod.name}" {} "${script}"; in
    made // { imageConfig.Entrypoint = [ "\${made}/bin/busybox" "sleep" "86400" ]; }`
  const flakeUrl = await writeMadeFlake(node.bed.dir, made)
  const recipe = { image, flakeUrl, packageName: 'image' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe }))
  await waitForPhase(cluster, pod, 'Running')
}

/** Of images that containerd has besides that of the sandbox. */
async function imageCount(): Promise<number> {
  return (await node.bed.cri().listImages()).length
}

async function freeShare(): Promise<number> {
  const { stdout } = await node.bed.run('stat', ['--file-system', '--format=%a %b', '/nix'])
  const [free = 0, total = 1] = stdout.split(' ').map(Number)
  return free / total
}

/** Lines of the kubelet's log. */
async function evictions(): Promise<string[]> {
  const log = await readFile(join(node.bed.dir, 'kubelet/log'), 'utf8')
  return log.split('\n').filter(line => line.includes('must evict'))
}

const statusSchema = v.object({ status: v.object({ reason: v.optional(v.string()) }) })

async function reasonOf({ namespace, name }: PodName): Promise<string | undefined> {
  return v.parse(statusSchema, await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`)).status.reason
}
