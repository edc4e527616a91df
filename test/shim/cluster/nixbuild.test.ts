import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { type ClusterBed, startClusterBed } from './cluster-bed.ts'
import { eventsOf, nixBuildManifest, podPull, readNixNodes, untilBuilds, writeSpec } from './shim-with-cluster.ts'

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

describe('a pull without annotations', () => {
  it('is built from the NixBuild of its namespace only', async () => {
    const [namespace, other] = [await bed.cluster.createNamespace(), await bed.cluster.createNamespace()]
    const { image, ...rest } = bed.recipeOf('by-hand', 'oci-layout')
    await bed.cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await expect(bed.connected.kubelet.pullImage({ image, namespace: other })).rejects.toMatchObject({
      details: expect.not.stringContaining('enbi'),
    })
    await expect(bed.connected.kubelet.pullImage({ image, namespace, podName: 'plain' })).resolves.toMatch(/^sha256:/)
    await untilReported(namespace, { state: 'Present', nixBuild: 'by-hand' })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'plain'), PATIENT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
  })

  it('looks for NixBuilds only in the namespaces that the controller names', async () => {
    const [named, other] = [await bed.cluster.createNamespace(), await bed.cluster.createNamespace()]
    const { image, ...rest } = bed.recipeOf('looked-up', 'docker-archive')
    for (const namespace of [named, other])
      await bed.cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await writeSpec(bed.cluster, bed.connected.node, { namespaces: [named] })
    const pull = (namespace: string) => bed.connected.kubelet.pullImage({ image, namespace, podName: 'plain' })
    // The shim sees the spec a moment later.
    await expect.poll(() => pull(other).catch(() => 'not found'), PATIENT).toBe('not found')
    await expect(pull(named)).resolves.toMatch(/^sha256:/)
    await writeSpec(bed.cluster, bed.connected.node, { namespaces: ['*'] })
    await expect.poll(() => pull(other).catch(() => 'not found'), PATIENT).toMatch(/^sha256:/)
  })

  it('is refused when the NixBuild is for another system', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('foreign', 'docker-archive')
    await bed.cluster.apply(
      nixBuildManifest(namespace, 'foreign', { imageTag: image, ...rest, system: 'riscv64-linux' }),
    )
    await expect(bed.connected.kubelet.pullImage({ image, namespace })).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('riscv64-linux'),
    })
  })
})

describe('an image that is removed', () => {
  it('is not reported any more', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('removed', 'images.web.frontend')
    await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    await untilReported(namespace, { state: 'Present' })
    await bed.connected.kubelet.removeImage(recipe.image)
    await untilReported(namespace)
  })
})

describe('an image that gets another recipe', () => {
  it('is reported for that recipe only', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('renewed', 'docker-archive')
    await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    const [before] = await untilReported(namespace, { state: 'Present' })
    await bed.connected.kubelet.pullImage(podPull(namespace, { ...recipe, packageName: 'oci-layout' }))
    await untilReported(namespace, { state: 'Present', key: expect.not.stringContaining(before?.key ?? '') })
  })
})

describe('a build that is assigned to the node', () => {
  const assign = (...assigned: readonly object[]) => writeSpec(bed.cluster, bed.connected.node, { assigned })

  it('is made, and the generation of the assignment is observed', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image: imageTag, ...rest } = bed.recipeOf('given', 'stream')
    await assign({ namespace, name: 'given', recipe: { imageTag, ...rest, system: 'x86_64-linux' } })
    await untilReported(namespace, { state: 'Present', nixBuild: 'given' })
    expect(await bed.connected.kubelet.imageStatus(imageTag)).toBeDefined()
    const [nixNode] = await readNixNodes(bed.cluster, bed.connected.node)
    expect(nixNode?.status.observedGeneration).toBe(nixNode?.metadata.generation)
  })

  it('fails if the policy refuses it', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = { imageTag: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
    await assign({ namespace, name: 'refused', recipe: { ...recipe, system: 'x86_64-linux' } })
    await untilReported(namespace, { state: 'Failed', nixBuild: 'refused', message: expect.stringContaining('policy') })
  })
})

describe('the shim', () => {
  it('renews its Lease', async () => {
    const lease = () =>
      bed.cluster.kubectl(['get', 'lease', `enbi-shim-${bed.connected.node}`, '-n=enbi-system', '-o=jsonpath={.spec}'])
    await expect.poll(lease, PATIENT).toContain(`"holderIdentity":"${bed.connected.node}"`)
  })

  it('writes its NixNode again if it is deleted', async () => {
    const namespace = await bed.cluster.createNamespace()
    await bed.connected.kubelet.pullImage(podPull(namespace, bed.recipeOf('again', 'docker-archive')))
    const reported = await untilReported(namespace, { state: 'Present' })
    await bed.cluster.kubectl(['delete', 'nixnode', bed.connected.node])
    expect(await untilReported(namespace, { state: 'Present' })).toEqual(reported)
    const [nixNode] = await readNixNodes(bed.cluster, bed.connected.node)
    expect(nixNode?.status).toMatchObject({
      system: 'x86_64-linux',
      layerMode: 'linked',
      shimVersion: expect.any(String),
    })
  })
})
