import { rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { type ClusterBed, startClusterBed } from './cluster-bed.ts'
import { eventsOf, listNixBuilds, nixBuildManifest, podPull, untilNixBuilds } from './shim-with-cluster.ts'

const UNKNOWN = 2

let bed: ClusterBed

beforeAll(async () => {
  bed = await startClusterBed()
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

describe('a pull without annotations', () => {
  it('is built from the NixBuild of its namespace only', async () => {
    const [namespace, other] = [await bed.cluster.createNamespace(), await bed.cluster.createNamespace()]
    const { image, ...rest } = bed.recipeOf('by-hand', 'oci-layout')
    await bed.cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await expect(bed.connected.kubelet.pullImage({ image, namespace: other })).rejects.toMatchObject({
      details: expect.not.stringContaining('enbi'),
    })
    await expect(bed.connected.kubelet.pullImage({ image, namespace, podName: 'plain' })).resolves.toMatch(/^sha256:/)
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
    await expect
      .poll(() => eventsOf(bed.cluster, namespace, 'plain'), PATIENT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
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
  it('is removed from the list of nodes', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('removed', 'images.web.frontend')
    await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded', nodes: [{ name: bed.connected.node }] })
    await bed.connected.kubelet.removeImage(recipe.image)
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { nodes: [] })
    expect(nixBuild?.status).toMatchObject({ status: 'Succeeded', buildNode: bed.connected.node })
  })
})

describe('an image that gets another recipe', () => {
  it('is removed from the list of nodes of the first NixBuild', async () => {
    const namespace = await bed.cluster.createNamespace()
    const recipe = bed.recipeOf('renewed', 'docker-archive')
    await bed.connected.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded', nodes: [{ name: bed.connected.node }] })
    await bed.connected.kubelet.pullImage(podPull(namespace, { ...recipe, packageName: 'oci-layout' }))
    const entries = async () =>
      (await listNixBuilds(bed.cluster, namespace))
        .map(({ spec, status }) => [spec.packageName, status.nodes.length])
        .sort()
    await expect.poll(entries, PATIENT).toEqual([
      ['docker-archive', 0],
      ['oci-layout', 1],
    ])
  })
})

describe('a NixBuild that is assigned to the node', () => {
  const label = () => ({ 'enbi.hrzn.ee/node': bed.connected.node })

  it('is built', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('given', 'stream')
    await bed.cluster.apply(nixBuildManifest(namespace, 'given', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded', nodes: [{ name: bed.connected.node }] })
    expect(await bed.connected.kubelet.imageStatus(image)).toBeDefined()
  })

  it('fails if the policy refuses it', async () => {
    const namespace = await bed.cluster.createNamespace()
    const spec = { imageTag: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
    await bed.cluster.apply(nixBuildManifest(namespace, 'refused', spec, label()))
    const [nixBuild] = await untilNixBuilds(bed.cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status.conditions[1]?.message).toContain('policy')
  })

  it('that is deleted and made again during the build is still built', async () => {
    const namespace = await bed.cluster.createNamespace()
    const { image, ...rest } = bed.recipeOf('taken', 'gated')
    await rm(bed.gate, { force: true })
    await bed.cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(bed.cluster, namespace, { status: 'Building' })
    await bed.cluster.kubectl(['delete', 'nixbuild', 'taken', `--namespace=${namespace}`])
    await bed.cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await writeFile(bed.gate, '')
    await untilNixBuilds(bed.cluster, namespace, { status: 'Succeeded' })
  })
})

describe('the shim', () => {
  it('renews its Lease', async () => {
    const lease = () =>
      bed.cluster.kubectl(['get', 'lease', `enbi-shim-${bed.connected.node}`, '-n=enbi-system', '-o=jsonpath={.spec}'])
    await expect.poll(lease, PATIENT).toContain(`"holderIdentity":"${bed.connected.node}"`)
  })
})
