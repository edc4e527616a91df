import { readdir, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { addGate, copyExample, type Example, lockExample } from '../node/example.ts'
import { countBuilds } from '../pull/builds.ts'
import {
  eventsOf,
  listNixBuilds,
  nixBuildManifest,
  podPull,
  startTellingShim,
  type TellingShim,
  untilNixBuilds,
  watchNixBuilds,
} from './telling-shim.ts'

const LIMIT = { timeout: 20_000 }
const UNKNOWN = 2

let bed: Bed
let cluster: Cluster
let formats: Example
let failures: Example
let gate: string
let telling: TellingShim

beforeAll(async () => {
  ;[bed, cluster] = await Promise.all([startBed(), useCluster()])
  formats = await copyExample('formats', bed.dir)
  gate = await addGate(formats)
  formats = await lockExample(formats, bed.run)
  failures = await lockExample(await copyExample('failures', bed.dir), bed.run)
  const policy = [
    { namespaces: ['*'], images: ['registry.example/told/**'], flakes: ['path:/**'] },
    { namespaces: ['*'], images: ['registry.example/locked/**'], flakes: ['github:team/*'], requireLocked: true },
  ]
  telling = await startTellingShim(cluster, bed, {
    config: { policy, nix: { user: bed.buildUser.name, maxBuilds: 4 } },
  })
})
afterAll(async () => {
  await telling?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

function recipeOf(name: string, packageName: string, flakeUrl = formats.url) {
  return { image: `registry.example/told/${name}:1`, flakeUrl, packageName }
}

describe('a pull of a recipe', () => {
  it('makes a NixBuild and fills in its status', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = recipeOf('app', 'docker-archive')
    const imageId = await telling.kubelet.pullImage(podPull(namespace, recipe))
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
    const present = await telling.kubelet.imageStatus(recipe.image)
    const [log] = (await readdir(`${telling.shim.stateDir}/logs`)).sort().reverse()
    expect(nixBuild).toMatchObject({
      metadata: { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } },
      spec: { flakeUrl: formats.url, imageTag: recipe.image, packageName: 'docker-archive' },
      status: {
        observedGeneration: 1,
        buildNode: telling.node,
        buildJobName: log?.replace(/\.log$/, ''),
        imageDigest: imageId,
        imageSize: present?.size,
        storePath: expect.stringMatching(/^\/nix\/store\/[0-9a-z]{32}-docker-archive\.tar$/),
        lockedFlakeUrl: formats.url,
        startTime: expect.any(String),
        completionTime: expect.any(String),
        conditions: [
          { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
          { type: 'Success', status: 'True', reason: 'ResultSuccess' },
        ],
        nodes: [{ name: telling.node, imageDigest: imageId }],
      },
    })
    await expect
      .poll(() => eventsOf(cluster, namespace, 'web'), LIMIT)
      .toContainEqual(expect.objectContaining({ type: 'Normal', reason: 'NixBuildSucceeded' }))
  })

  it('follows the NixBuild through its phases with few writes, and each waiting pod hears of it', async () => {
    const namespace = await cluster.createNamespace()
    await using watch = await watchNixBuilds(cluster, namespace)
    await rm(gate, { force: true })
    const recipe = recipeOf('phases', 'gated')
    const builds = await countBuilds(telling.shim)
    const pulls = ['one', 'two'].map(pod => telling.kubelet.pullImage(podPull(namespace, recipe, pod)))
    const pods = Promise.all(pulls)
    await expect.poll(() => watch.seen.at(-1)?.status.progress, LIMIT).toMatch(/^building /)
    await writeFile(gate, '')
    await pods
    await expect.poll(() => watch.seen.at(-1)?.status.status, LIMIT).toBe('Succeeded')
    expect(await countBuilds(telling.shim)).toBe(builds + 1)
    const said = watch.seen.map(({ status }) => `${status.status}: ${status.progress}`)
    // One write more on a machine that is too busy to build within 300 ms.
    expect(said.filter(words => !/^Building: (starting|evaluating)/.test(words))).toEqual([
      'undefined: undefined',
      expect.stringMatching(/^Building: building /),
      expect.stringMatching(/^Succeeded: loaded in /),
    ])
    expect(new Set(said).size).toBe(said.length)
    for (const pod of ['one', 'two']) {
      const reasons = async () => (await eventsOf(cluster, namespace, pod)).map(({ reason }) => reason).sort()
      await expect.poll(reasons, LIMIT).toEqual(['NixBuildStarted', 'NixBuildSucceeded'])
    }
  })

  it('of an image that is there is told to the NixBuild of its namespace, too, without an event', async () => {
    const [first, second] = [await cluster.createNamespace(), await cluster.createNamespace()]
    const recipe = recipeOf('shared', 'oci-archive')
    await telling.kubelet.pullImage(podPull(first, recipe))
    await telling.kubelet.pullImage(podPull(second, recipe))
    for (const namespace of [first, second]) {
      const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
      expect(nixBuild?.status).toMatchObject({ storePath: expect.any(String), nodes: [{ name: telling.node }] })
    }
    expect(await eventsOf(cluster, second, 'web')).toEqual([])
  })

  it('that no pod asked for makes no NixBuild', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = recipeOf('by-no-pod', 'docker-archive')
    await telling.kubelet.pullImage({ ...podPull(namespace, recipe), podName: '' })
    await telling.kubelet.pullImage(podPull(namespace, { ...recipe, image: 'registry.example/told/by-a-pod:1' }))
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
    expect(nixBuild?.spec.imageTag).toBe('registry.example/told/by-a-pod:1')
  })

  it('that fails says so with the end of the log, to every pod that asks', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = recipeOf('failed', 'chatty', failures.url)
    for (const pod of ['one', 'two'])
      await expect(telling.kubelet.pullImage(podPull(namespace, recipe, pod))).rejects.toMatchObject({ code: UNKNOWN })
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status).toMatchObject({
      logTail: expect.stringMatching(/step 10000\ncc: fatal error: hello\.c: no such file$/),
      conditions: [
        { type: 'Complete', status: 'True', message: 'Build failed' },
        { type: 'Success', status: 'False', reason: 'ResultFailure', message: expect.stringContaining('fatal error') },
      ],
      nodes: [],
    })
    for (const pod of ['one', 'two'])
      await expect
        .poll(() => eventsOf(cluster, namespace, pod), LIMIT)
        .toContainEqual({ type: 'Warning', reason: 'NixBuildFailed', message: expect.stringContaining('fatal error') })
  })

  it('takes the place of a failure that somebody else wrote', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipeOf('mended', 'docker-archive-gzip')
    const name = 'by-hand'
    await cluster.apply(nixBuildManifest(namespace, name, { imageTag: image, ...rest }))
    const status = { status: 'Failed', logTail: 'old', completionTime: '2026-01-01T00:00:00Z' }
    const patch = JSON.stringify({ status })
    await cluster.kubectl([
      'patch',
      'nb',
      name,
      `-n=${namespace}`,
      '--subresource=status',
      '--type=merge',
      `-p=${patch}`,
    ])
    await telling.kubelet.pullImage(podPull(namespace, { image, ...rest }))
    const [nixBuild, ...others] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
    expect(others).toEqual([])
    expect(nixBuild?.metadata.name).toBe(name)
    expect(nixBuild?.status.logTail).toBeUndefined()
  })
})

describe('a pull of what another node is building', () => {
  it('says that this node has the image, too, and takes the build over when the other one gives it back', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipeOf('elsewhere', 'docker-archive-misnamed')
    await cluster.apply(nixBuildManifest(namespace, 'elsewhere', { imageTag: image, ...rest }))
    const patch = (status: object) =>
      cluster.kubectl([
        ...['patch', 'nixbuild', 'elsewhere', `--namespace=${namespace}`, '--subresource=status', '--type=merge'],
        `--patch=${JSON.stringify({ status })}`,
      ])
    await patch({ status: 'Building', buildNode: 'node-elsewhere' })
    await telling.kubelet.pullImage(podPull(namespace, { image, ...rest }))
    const nodes = [{ name: telling.node }]
    await untilNixBuilds(cluster, namespace, { status: 'Building', buildNode: 'node-elsewhere', nodes })
    await patch({ status: 'Pending', buildNode: null })
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: telling.node, nodes })
  })
})

describe('a pull that the policy refuses', () => {
  const recipe = { image: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }

  it('is told to the pod and makes no NixBuild', async () => {
    const namespace = await cluster.createNamespace()
    await expect(telling.kubelet.pullImage(podPull(namespace, recipe))).rejects.toMatchObject({ code: UNKNOWN })
    await expect
      .poll(() => eventsOf(cluster, namespace, 'web'), LIMIT)
      .toEqual([{ type: 'Warning', reason: 'NixBuildRefused', message: expect.stringContaining('policy') }])
    expect(await listNixBuilds(cluster, namespace)).toEqual([])
  })

  it('is told to the NixBuild that there is', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipe
    await cluster.apply(nixBuildManifest(namespace, 'refused', { imageTag: image, ...rest }))
    await expect(telling.kubelet.pullImage(podPull(namespace, recipe))).rejects.toMatchObject({ code: UNKNOWN })
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Success', status: 'False', message: expect.stringContaining('policy') }),
    )
  })
})

describe('a pull without annotations', () => {
  it('is built from the NixBuild of its namespace, and from none of another', async () => {
    const [namespace, other] = [await cluster.createNamespace(), await cluster.createNamespace()]
    const { image, ...rest } = recipeOf('by-hand', 'oci-layout')
    await cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await expect(telling.kubelet.pullImage({ image, namespace: other })).rejects.toMatchObject({
      details: expect.not.stringContaining('enbi'),
    })
    await expect(telling.kubelet.pullImage({ image, namespace, podName: 'plain' })).resolves.toMatch(/^sha256:/)
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
    await expect
      .poll(() => eventsOf(cluster, namespace, 'plain'), LIMIT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
  })

  it('is refused when the NixBuild is for another system', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipeOf('foreign', 'docker-archive')
    await cluster.apply(nixBuildManifest(namespace, 'foreign', { imageTag: image, ...rest, system: 'riscv64-linux' }))
    await expect(telling.kubelet.pullImage({ image, namespace })).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('riscv64-linux'),
    })
  })
})

describe('an image that is removed', () => {
  it('is taken out of the list of nodes', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = recipeOf('removed', 'images.web.frontend')
    await telling.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', nodes: [{ name: telling.node }] })
    await telling.kubelet.removeImage(recipe.image)
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { nodes: [] })
    expect(nixBuild?.status).toMatchObject({ status: 'Succeeded', buildNode: telling.node })
  })
})

describe('an image that gets another recipe', () => {
  it('is taken out of the list of nodes of the first one', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = recipeOf('renewed', 'docker-archive')
    await telling.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', nodes: [{ name: telling.node }] })
    await telling.kubelet.pullImage(podPull(namespace, { ...recipe, packageName: 'oci-layout' }))
    const entries = async () =>
      (await listNixBuilds(cluster, namespace))
        .map(({ spec, status }) => [spec.packageName, status.nodes.length])
        .sort()
    await expect.poll(entries, LIMIT).toEqual([
      ['docker-archive', 0],
      ['oci-layout', 1],
    ])
  })
})

describe('a NixBuild that is given to the node', () => {
  const label = () => ({ 'enbi.hrzn.ee/node': telling.node })

  it('is built', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipeOf('given', 'stream')
    await cluster.apply(nixBuildManifest(namespace, 'given', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', nodes: [{ name: telling.node }] })
    expect(await telling.kubelet.imageStatus(image)).toBeDefined()
  })

  it('is Failed when the policy refuses it', async () => {
    const namespace = await cluster.createNamespace()
    const spec = { imageTag: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
    await cluster.apply(nixBuildManifest(namespace, 'refused', spec, label()))
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status.conditions[1]?.message).toContain('policy')
  })

  it('that is deleted and made again in the middle of it is built all the same', async () => {
    const namespace = await cluster.createNamespace()
    const { image, ...rest } = recipeOf('taken', 'gated-stream')
    await rm(gate, { force: true })
    await cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(cluster, namespace, { status: 'Importing' })
    await cluster.kubectl(['delete', 'nixbuild', 'taken', `--namespace=${namespace}`])
    await cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await writeFile(gate, '')
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
  })
})

describe('the shim', () => {
  it('renews its Lease', async () => {
    const lease = () =>
      cluster.kubectl(['get', 'lease', `enbi-shim-${telling.node}`, '-n=enbi-system', '-o=jsonpath={.spec}'])
    await expect.poll(lease, LIMIT).toContain(`"holderIdentity":"${telling.node}"`)
  })
})
