import { rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { type Surroundings, startSurroundings } from './cluster-bed.ts'
import { eventsOf, listNixBuilds, nixBuildManifest, podPull, untilNixBuilds } from './shim-with-cluster.ts'

const UNKNOWN = 2

let around: Surroundings

beforeAll(async () => {
  around = await startSurroundings()
})
afterAll(async () => around?.[Symbol.asyncDispose]())

describe('a pull without annotations', () => {
  it('is built from the NixBuild of its namespace only', async () => {
    const [namespace, other] = [await around.cluster.createNamespace(), await around.cluster.createNamespace()]
    const { image, ...rest } = around.recipeOf('by-hand', 'oci-layout')
    await around.cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...rest }))
    await expect(around.writtenNow.kubelet.pullImage({ image, namespace: other })).rejects.toMatchObject({
      details: expect.not.stringContaining('enbi'),
    })
    await expect(around.writtenNow.kubelet.pullImage({ image, namespace, podName: 'plain' })).resolves.toMatch(
      /^sha256:/,
    )
    await untilNixBuilds(around.cluster, namespace, { status: 'Succeeded' })
    await expect
      .poll(() => eventsOf(around.cluster, namespace, 'plain'), PATIENT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
  })

  it('is refused when the NixBuild is for another system', async () => {
    const namespace = await around.cluster.createNamespace()
    const { image, ...rest } = around.recipeOf('foreign', 'docker-archive')
    await around.cluster.apply(
      nixBuildManifest(namespace, 'foreign', { imageTag: image, ...rest, system: 'riscv64-linux' }),
    )
    await expect(around.writtenNow.kubelet.pullImage({ image, namespace })).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('riscv64-linux'),
    })
  })
})

describe('an image that is removed', () => {
  it('is removed from the list of nodes', async () => {
    const namespace = await around.cluster.createNamespace()
    const recipe = around.recipeOf('removed', 'images.web.frontend')
    await around.writtenNow.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(around.cluster, namespace, { status: 'Succeeded', nodes: [{ name: around.writtenNow.node }] })
    await around.writtenNow.kubelet.removeImage(recipe.image)
    const [nixBuild] = await untilNixBuilds(around.cluster, namespace, { nodes: [] })
    expect(nixBuild?.status).toMatchObject({ status: 'Succeeded', buildNode: around.writtenNow.node })
  })
})

describe('an image that gets another recipe', () => {
  it('is removed from the list of nodes of the first NixBuild', async () => {
    const namespace = await around.cluster.createNamespace()
    const recipe = around.recipeOf('renewed', 'docker-archive')
    await around.writtenNow.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(around.cluster, namespace, { status: 'Succeeded', nodes: [{ name: around.writtenNow.node }] })
    await around.writtenNow.kubelet.pullImage(podPull(namespace, { ...recipe, packageName: 'oci-layout' }))
    const entries = async () =>
      (await listNixBuilds(around.cluster, namespace))
        .map(({ spec, status }) => [spec.packageName, status.nodes.length])
        .sort()
    await expect.poll(entries, PATIENT).toEqual([
      ['docker-archive', 0],
      ['oci-layout', 1],
    ])
  })
})

describe('a NixBuild that is assigned to the node', () => {
  const label = () => ({ 'enbi.hrzn.ee/node': around.writtenNow.node })

  it('is built', async () => {
    const namespace = await around.cluster.createNamespace()
    const { image, ...rest } = around.recipeOf('given', 'stream')
    await around.cluster.apply(nixBuildManifest(namespace, 'given', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(around.cluster, namespace, { status: 'Succeeded', nodes: [{ name: around.writtenNow.node }] })
    expect(await around.writtenNow.kubelet.imageStatus(image)).toBeDefined()
  })

  it('fails if the policy refuses it', async () => {
    const namespace = await around.cluster.createNamespace()
    const spec = { imageTag: 'registry.example/elsewhere/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
    await around.cluster.apply(nixBuildManifest(namespace, 'refused', spec, label()))
    const [nixBuild] = await untilNixBuilds(around.cluster, namespace, { status: 'Failed' })
    expect(nixBuild?.status.conditions[1]?.message).toContain('policy')
  })

  it('that is deleted and made again during the build is still built', async () => {
    const namespace = await around.cluster.createNamespace()
    const { image, ...rest } = around.recipeOf('taken', 'gated')
    await rm(around.gate, { force: true })
    await around.cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await untilNixBuilds(around.cluster, namespace, { status: 'Building' })
    await around.cluster.kubectl(['delete', 'nixbuild', 'taken', `--namespace=${namespace}`])
    await around.cluster.apply(nixBuildManifest(namespace, 'taken', { imageTag: image, ...rest }, label()))
    await writeFile(around.gate, '')
    await untilNixBuilds(around.cluster, namespace, { status: 'Succeeded' })
  })
})

describe('the shim', () => {
  it('renews its Lease', async () => {
    const lease = () =>
      around.cluster.kubectl([
        'get',
        'lease',
        `enbi-shim-${around.writtenNow.node}`,
        '-n=enbi-system',
        '-o=jsonpath={.spec}',
      ])
    await expect.poll(lease, PATIENT).toContain(`"holderIdentity":"${around.writtenNow.node}"`)
  })
})
