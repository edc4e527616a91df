import { readdir, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { countBuilds } from '../pull/builds.ts'
import { type ClusterBed, startClusterBed } from './cluster-bed.ts'
import {
  eventsOf,
  listNixBuilds,
  nixBuildManifest,
  podPull,
  untilNixBuilds,
  watchNixBuilds,
} from './shim-with-cluster.ts'

const UNKNOWN = 2

let bed: ClusterBed

beforeAll(async () => {
  bed = await startClusterBed()
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

describe('a pull of a recipe', () => {
  it('creates a NixBuild and fills in its status', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('app', 'docker-archive')
    const imageId = await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
    const present = await bed.connected.kubelet.imageStatus(recipe.image)
    const [log] = (await readdir(`${bed.connected.shim.stateDir}/logs`)).sort().reverse()
    expect(nixBuild).toMatchObject({
      metadata: { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } },
      spec: { flakeUrl: bed.formats.url, imageTag: recipe.image, packageName: 'docker-archive' },
      status: {
        observedGeneration: 1,
        buildNode: bed.connected.node,
        buildJobName: log?.replace(/\.log$/, ''),
        imageDigest: imageId,
        imageSize: present?.size,
        storePath: expect.stringMatching(/^\/nix\/store\/[0-9a-z]{32}-docker-archive\.tar$/),
        lockedFlakeUrl: bed.formats.url,
        startTime: expect.any(String),
        completionTime: expect.any(String),
        conditions: [
          { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
          { type: 'Success', status: 'True', reason: 'ResultSuccess' },
        ],
        nodes: [{ name: bed.connected.node, imageDigest: imageId }],
      },
    })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'web'), PATIENT)
      .toContainEqual(expect.objectContaining({ type: 'Normal', reason: 'NixBuildSucceeded' }))
  })

  it('writes the phases to the NixBuild with few writes, and sends an event to each waiting pod', async () => {
    const namespace = await bed.cluster.createNamespace()
    await using watch = await watchNixBuilds(bed.cluster, namespace)
    await rm(bed.gate, { force: true })
    const recipe = bed.recipeOf('phases', 'gated')
    const builds = await countBuilds(bed.connected.shim)
    const pulls = ['one', 'two'].map(pod => bed.connected.kubelet.pullImage(podPull(namespace, recipe, pod)))
    const pods = Promise.all(pulls)
    await expect.poll(() => watch.seen.at(-1)?.status.progress, PATIENT).toMatch(/^building /)
    await writeFile(bed.gate, '')
    await pods
    await expect.poll(() => watch.seen.at(-1)?.status.status, PATIENT).toBe('Succeeded')
    expect(await countBuilds(bed.connected.shim)).toBe(builds + 1)
    const said = watch.seen.map(({ status }) => `${status.status}: ${status.progress}`)
    // A slow machine takes more than 300 ms to build, which causes one more write.
    expect(said.filter(words => !/^Building: (starting|evaluating)/.test(words))).toEqual([
      'undefined: undefined',
      expect.stringMatching(/^Building: building /),
      expect.stringMatching(/^Succeeded: loaded in /),
    ])
    expect(new Set(said).size).toBe(said.length)
    for (const pod of ['one', 'two']) {
      const reasons = async () => (await eventsOf(bed.cluster, namespace, pod)).map(({ reason }) => reason).sort()
      await expect.poll(reasons, PATIENT).toEqual(['NixBuildStarted', 'NixBuildSucceeded'])
    }
  })

  it('of an existing image is also written to the NixBuild of its namespace, without an event', async () => {
    const [first, second] = [await bed.cluster.createNamespace(), await bed.cluster.createNamespace()]
    const recipe = bed.recipeOf('shared', 'oci-archive')
    await bed.connected.kubelet.pullImage(podPull(first, recipe))
    await bed.connected.kubelet.pullImage(podPull(second, recipe))
    for (const namespace of [first, second]) {
      const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
      expect(nixBuild?.status).toMatchObject({
        storePath: expect.any(String),
        nodes: [{ name: bed.connected.node }],
      })
    }
    expect(await eventsOf(bed.cluster, second, 'web')).toEqual([])
  })

  it('that no pod requested creates no NixBuild', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('by-no-pod', 'docker-archive')
    await bed.connected.kubelet.pullImage({ ...podPull(namespace, recipe), podName: '' })
    await bed.connected.kubelet.pullImage(
      podPull(namespace, { ...recipe, image: 'registry.example/cluster/by-a-pod:1' }),
    )
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
    expect(nixBuild?.spec.imageTag).toBe('registry.example/cluster/by-a-pod:1')
  })

  it('that fails reports the end of the log to every pod that requests the image', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('failed', 'chatty', bed.failures.url)
    for (const pod of ['one', 'two'])
      await expect(bed.connected.kubelet.pullImage(podPull(namespace, recipe, pod))).rejects.toMatchObject({
        code: UNKNOWN,
      })
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Failed' })
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
        .poll(() => eventsOf(bed.cluster, namespace, pod), PATIENT)
        .toContainEqual({ type: 'Warning', reason: 'NixBuildFailed', message: expect.stringContaining('fatal error') })
  })

  it('replaces a failure that another client wrote', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('replaced', 'docker-archive-gzip')
    const name = 'by-hand'
    await bed.cluster.apply(nixBuildManifest(namespace, name, { imageTag: image, ...rest }))
    const status = { status: 'Failed', logTail: 'old', completionTime: '2026-01-01T00:00:00Z' }
    const patch = JSON.stringify({ status })
    await bed.cluster.kubectl([
      'patch',
      'nb',
      name,
      `-n=${namespace}`,
      '--subresource=status',
      '--type=merge',
      `-p=${patch}`,
    ])
    await bed.connected.kubelet.pullImage(podPull(namespace, { image, ...rest }))
    const [nixBuild, ...others] = await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
    expect(others).toEqual([])
    expect(nixBuild?.metadata.name).toBe(name)
    expect(nixBuild?.status.logTail).toBeUndefined()
  })
})

describe('a pull of an image that another node is building', () => {
  it('adds this node to the NixBuild, and takes over the claim when the other node releases it', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('elsewhere', 'docker-archive-misnamed')
    await bed.cluster.apply(nixBuildManifest(namespace, 'elsewhere', { imageTag: image, ...rest }))
    const patch = (status: object) =>
      bed.cluster.kubectl([
        ...['patch', 'nixbuild', 'elsewhere', `--namespace=${namespace}`, '--subresource=status', '--type=merge'],
        `--patch=${JSON.stringify({ status })}`,
      ])
    await patch({ status: 'Building', buildNode: 'node-elsewhere' })
    await bed.connected.kubelet.pullImage(podPull(namespace, { image, ...rest }))
    const nodes = [{ name: bed.connected.node }]
    await untilNixBuilds(bed.cluster, namespace, { status: 'Building', buildNode: 'node-elsewhere', nodes })
    await patch({ status: 'Pending', buildNode: null })
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded', buildNode: bed.connected.node, nodes })
  })
})

describe('a pull that the policy refuses', () => {
  const recipe = { image: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }

  it('is reported to the pod and creates no NixBuild', async () => {
    const namespace = await bed.cluster.createNamespace()
    await expect(bed.connected.kubelet.pullImage(podPull(namespace, recipe))).rejects.toMatchObject({
      code: UNKNOWN,
    })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'web'), PATIENT)
      .toEqual([{ type: 'Warning', reason: 'NixBuildRefused', message: expect.stringContaining('policy') }])
    expect(await listNixBuilds(bed.cluster, namespace)).toEqual([])
  })

  it('is written to an existing NixBuild', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = recipe
    await bed.cluster.apply(nixBuildManifest(namespace, 'refused', { imageTag: image, ...rest }))
    await expect(bed.connected.kubelet.pullImage(podPull(namespace, recipe))).rejects.toMatchObject({
      code: UNKNOWN,
    })
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Success', status: 'False', message: expect.stringContaining('policy') }),
    )
  })
})
