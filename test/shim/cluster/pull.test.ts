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
  untilBuilds,
  watchNixNode,
  writeSpec,
} from './shim-with-cluster.ts'

const UNKNOWN = 2

let bed: ClusterBed

beforeAll(async () => {
  bed = await startClusterBed()
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Waits until the node reports exactly these builds of the namespace. */
function untilReported(namespace: string, ...builds: readonly object[]) {
  return untilBuilds(bed.cluster, bed.connected.node, namespace, builds)
}

describe('a pull of a recipe', () => {
  it('is reported with its image, and no NixBuild is written', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('app', 'docker-archive')
    const imageId = await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    const present = await bed.connected.kubelet.imageStatus(recipe.image)
    const [build] = await untilReported(namespace, { state: 'Present' })
    const [log] = (await readdir(`${bed.connected.shim.stateDir}/logs`)).sort().reverse()
    expect(build).toEqual({
      namespace,
      key: expect.stringMatching(/^[0-9a-f]{64}$/),
      state: 'Present',
      since: expect.any(String),
      startTime: expect.any(String),
      progress: expect.stringMatching(/^loaded in /),
      buildJobName: log?.replace(/\.log$/, ''),
      imageDigest: imageId,
      imageSize: present?.size,
      storePath: expect.stringMatching(/^\/nix\/store\/[0-9a-z]{32}-docker-archive\.tar$/),
      lockedFlakeUrl: bed.formats.url,
      pods: [],
    })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'web'), PATIENT)
      .toContainEqual(expect.objectContaining({ type: 'Normal', reason: 'NixBuildSucceeded' }))
    await expect.poll(() => listNixBuilds(bed.cluster, namespace), PATIENT).toEqual([])
  })

  it('has its phases reported with few writes, and sends an event to each waiting pod', async () => {
    const namespace = await bed.cluster.createNamespace()
    await rm(bed.gate, { force: true })
    const recipe = bed.recipeOf('phases', 'gated')
    const builds = await countBuilds(bed.connected.shim)
    await using watch = await watchNixNode(bed.cluster, bed.connected.node)
    const seen = () => watch.seen.flatMap(({ status }) => status.builds.filter(build => build.namespace === namespace))
    const pulls = ['one', 'two'].map(pod => bed.connected.kubelet.pullImage(podPull(namespace, recipe, pod)))
    const pods = Promise.all(pulls)
    await expect.poll(() => seen().at(-1)?.progress, PATIENT).toMatch(/^building /)
    expect(seen().at(-1)).toMatchObject({
      recipe: { flakeUrl: bed.formats.url, imageTag: recipe.image, packageName: 'gated' },
      pods: [
        { name: 'one', uid: 'one' },
        { name: 'two', uid: 'two' },
      ],
    })
    await writeFile(bed.gate, '')
    await pods
    await untilReported(namespace, { state: 'Present' })
    expect(await countBuilds(bed.connected.shim)).toBe(builds + 1)
    const said = seen().map(({ state, progress }) => `${state}: ${progress}`)
    // A slow machine takes more than 300 ms to build, which causes one more write.
    expect(said.filter(words => !/: (starting|evaluating)/.test(words))).toEqual([
      expect.stringMatching(/^Building: building /),
      expect.stringMatching(/^Present: loaded in /),
    ])
    expect(new Set(said).size).toBe(said.length)
    for (const pod of ['one', 'two']) {
      const reasons = async () => (await eventsOf(bed.cluster, namespace, pod)).map(({ reason }) => reason).sort()
      await expect.poll(reasons, PATIENT).toEqual(['NixBuildStarted', 'NixBuildSucceeded'])
    }
  })

  it('of an existing image is also reported for its namespace, without an event', async () => {
    const [first, second] = [await bed.cluster.createNamespace(), await bed.cluster.createNamespace()]
    const recipe = bed.recipeOf('shared', 'oci-archive')
    await bed.connected.kubelet.pullImage(podPull(first, recipe))
    await bed.connected.kubelet.pullImage(podPull(second, recipe))
    for (const namespace of [first, second])
      await untilReported(namespace, { state: 'Present', storePath: expect.any(String) })
    expect(await eventsOf(bed.cluster, second, 'web')).toEqual([])
  })

  it('that fails reports the end of the log to every pod that requests the image', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('failed', 'chatty', bed.failures.url)
    for (const pod of ['one', 'two'])
      await expect(bed.connected.kubelet.pullImage(podPull(namespace, recipe, pod))).rejects.toMatchObject({
        code: UNKNOWN,
      })
    await untilReported(namespace, {
      state: 'Failed',
      recipe: { packageName: 'chatty' },
      logTail: expect.stringMatching(/step 10000\ncc: fatal error: hello\.c: no such file$/),
      message: expect.stringContaining('fatal error'),
      retryable: false,
    })
    for (const pod of ['one', 'two'])
      await expect
        .poll(() => eventsOf(bed.cluster, namespace, pod), PATIENT)
        .toContainEqual({ type: 'Warning', reason: 'NixBuildFailed', message: expect.stringContaining('fatal error') })
  })

  it('that comes from a NixBuild is reported with its name', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('named', 'docker-archive-gzip')
    await bed.cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await bed.connected.kubelet.pullImage({ image, namespace, podName: 'plain' })
    await untilReported(namespace, { state: 'Present', nixBuild: 'by-hand' })
  })
})

describe('a pull of a store path', () => {
  it('is reported without a recipe, and to its pod', async () => {
    const namespace = await bed.cluster.createNamespace()
    const installable = `${bed.formats.url}#docker-archive`
    const { stdout } = await bed.bed.run('nix', ['build', '--no-link', '--json', installable])
    const storePath: string = JSON.parse(stdout)[0].outputs.out
    const image = `nix:0${storePath}`
    const imageDigest = await bed.connected.kubelet.pullImage({ image, namespace, podName: 'web' })
    const [build] = await untilReported(namespace, { state: 'Present', storePath, imageDigest })
    expect(build).not.toHaveProperty('recipe')
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'web'), PATIENT)
      .toContainEqual({
        type: 'Normal',
        reason: 'NixBuildSucceeded',
        message: expect.stringContaining(`Fetched and loaded ${image}:latest in `),
      })
  })

  it('is cancelled when its pod is deleted', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { storePath } = bed.slowCache
    const pull = bed.connected.kubelet.pullImage({ image: `nix:0${storePath}`, namespace, podName: 'deleted' })
    const sentAway = expect(pull).rejects.toMatchObject({ details: expect.stringContaining('pod was deleted') })
    await untilReported(namespace, { state: 'Building', storePath, pods: [{ uid: 'deleted' }] })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'deleted'), PATIENT)
      .toMatchObject([{ reason: 'NixBuildStarted', message: `Fetching ${storePath} on ${bed.connected.node}` }])
    await writeSpec(bed.cluster, bed.connected.node, { letGo: ['deleted'] })
    await sentAway
  })
})

describe('a pull that the policy refuses', () => {
  it('is reported to the pod and as a failure', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = { image: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
    await expect(bed.connected.kubelet.pullImage(podPull(namespace, recipe))).rejects.toMatchObject({
      code: UNKNOWN,
    })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'web'), PATIENT)
      .toEqual([{ type: 'Warning', reason: 'NixBuildRefused', message: expect.stringContaining('policy') }])
    await untilReported(namespace, { state: 'Failed', message: expect.stringContaining('policy'), retryable: false })
  })
})

describe('an assigned build whose recipe the shim cannot read', () => {
  it('is reported as a failure under its key, which says that the shim must be updated', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = { imageTag: 'registry.example/a:1', flakeUrl: 'later:team/app', packageName: 'app', system: 'x' }
    const key = '0'.repeat(64)
    await writeSpec(bed.cluster, bed.connected.node, { assigned: [{ namespace, name: 'later', key, recipe }] })
    const message = expect.stringMatching(
      /^enbi-shim \d.* cannot read .*"later:team\/app".* update enbi-shim on that node/,
    )
    await untilReported(namespace, { key, nixBuild: 'later', state: 'Failed', message })
  })
})
