import { readFile, writeFile } from 'node:fs/promises'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { writeMadeFlake } from '../node/made-flake.ts'
import { BUSYBOX } from '../node/programs.ts'
import { PATIENT } from '../patience.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podManifest, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

// The store and the images of containerd share a small disk. The kubelet evicts pods when 15% of it are left, its own default.

const RULE = { namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }

let cluster: WholeCluster
let node: ClusterNode
let keeper: PodName

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode({
    storeDisk: '400m',
    kubeletConfig: {
      imageMinimumGCAge: '1ms',
      evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1Mi', 'imagefs.available': '15%' },
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
  await expect.poll(imageCount, PATIENT).toBe(1)
  await expect.poll(freeShare, PATIENT).toBeGreaterThan(0.2)
  expect(await reasonOf(keeper)).toBeUndefined()
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

/** Images of which nothing is left in the end but their share of the disk. */
async function fillDisk(): Promise<void> {
  const { namespace } = keeper
  for (let pods = 0; (await freeShare()) > 0.15; pods += 1) {
    const pod = { namespace, name: `big-${pods}-${Date.now()}` }
    await run(pod, 60)
    await cluster.kubectl(['delete', 'pod', pod.name, `--namespace=${namespace}`])
  }
}

async function run(pod: PodName, megabytes: number): Promise<void> {
  const image = `registry.example/disk/${pod.name}:1`
  const script = `mkdir -p $out/bin; cp $busybox $out/bin/busybox; chmod 755 $out/bin/busybox; dd if=/dev/urandom of=$out/data bs=1M count=${megabytes} 2>/dev/null`
  const made = `let made = make "${pod.name}" { busybox = ./busybox; } "${script}"; in
    made // { imageConfig.Entrypoint = [ "\${made}/bin/busybox" "sleep" "86400" ]; }`
  const flakeUrl = await writeMadeFlake(node.bed.dir, made, { busybox: await readFile(BUSYBOX) })
  const recipe = { image, flakeUrl, packageName: 'image' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe }))
  await waitForPhase(cluster, pod, 'Running')
}

async function imageCount(): Promise<number> {
  const { stdout } = await node.bed.run('ls', [`${node.shim.stateDir}/gcroots`])
  return stdout.split('\n').length
}

async function freeShare(): Promise<number> {
  const { stdout } = await node.bed.run('stat', ['--file-system', '--format=%a %b', '/nix'])
  const [free = 0, total = 1] = stdout.split(' ').map(Number)
  return free / total
}

const statusSchema = v.object({ status: v.object({ reason: v.optional(v.string()) }) })

async function reasonOf({ namespace, name }: PodName): Promise<string | undefined> {
  return v.parse(statusSchema, await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`)).status.reason
}
