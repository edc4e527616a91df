import { copyFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Cluster } from '../../cluster/cluster.ts'
import { useCluster } from '../../cluster/use-cluster.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example } from '../../node/example.ts'
import { PATIENT } from '../../patience.ts'
import { podPull, startConnectedShim, untilNixBuilds } from './shim-with-cluster.ts'

let bed: Bed
let cluster: Cluster
let formats: Example
let gate: string

beforeAll(async () => {
  ;[bed, cluster] = await Promise.all([startBed(), useCluster()])
})
// Each test has its own flake, because existing results would make the build instant.
beforeEach(async () => {
  formats = await copyExample('formats', bed.dir)
  gate = await addGate(formats)
})
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

function gatedRecipe(name: string) {
  return { image: `registry.example/restart/${name}:1`, flakeUrl: formats.url, packageName: 'gated' }
}

const isBuilding = async () =>
  (await bed.run('pgrep', ['-f', `until test -e ${gate};`], { reject: false })).exitCode === 0

describe('a shim that is stopped in the middle of a build', () => {
  it('releases the NixBuild before it exits', async () => {
    await using connected = await startConnectedShim(cluster, bed, { config: { shutdownTimeout: '100ms' } })
    const namespace = await cluster.createNamespace()
    const cut = expect(connected.kubelet.pullImage(podPull(namespace, gatedRecipe('stopped')))).rejects.toThrow()
    await untilNixBuilds(cluster, namespace, { status: 'Building' })
    expect(await connected.shim.daemon.stop()).toBe(0)
    await cut
    const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Pending' })
    expect(nixBuild?.status.buildNode).toBeUndefined()
    expect(nixBuild?.status.conditions[0]?.message).toContain('shutting down')
  })
})

describe('a build whose NixBuild is deleted', () => {
  it('is cancelled if its NixBuild is not made again', async () => {
    const config = { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } }
    await using connected = await startConnectedShim(cluster, bed, { config, kubernetes: { unwantedCheck: '300ms' } })
    const namespace = await cluster.createNamespace()
    const pull = connected.kubelet.pullImage(podPull(namespace, gatedRecipe('deleted')))
    const sentAway = expect(pull).rejects.toMatchObject({ details: expect.stringContaining('NixBuild was deleted') })
    await untilNixBuilds(cluster, namespace, { status: 'Building' })
    await expect.poll(isBuilding, PATIENT).toBe(true)
    await cluster.kubectl(['delete', 'nixbuilds', '--all', `--namespace=${namespace}`])
    await sentAway
    await expect.poll(isBuilding, PATIENT).toBe(false)
  })
})

describe('a kubeconfig that does not exist yet', () => {
  it('delays no pull, and is used when it appears', async () => {
    const kubeconfig = `${gate}.kubeconfig`
    await using connected = await startConnectedShim(cluster, bed, { kubernetes: { kubeconfig } })
    const namespace = await cluster.createNamespace()
    const recipe = { ...gatedRecipe('early'), packageName: 'docker-archive' }
    await expect(connected.kubelet.pullImage(podPull(namespace, recipe))).resolves.toMatch(/^sha256:/)
    await copyFile(cluster.adminKubeconfig, kubeconfig)
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: connected.node })
  })
})

describe('an image that is removed while no shim is running', () => {
  it('is removed from the NixBuild by the next shim', async () => {
    await using connected = await startConnectedShim(cluster, bed)
    const namespace = await cluster.createNamespace()
    const recipe = { ...gatedRecipe('gone'), packageName: 'docker-archive' }
    await connected.kubelet.pullImage(podPull(namespace, recipe))
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', nodes: [{ name: connected.node }] })
    await connected.shim.daemon.stop()
    await bed.cri().removeImage(recipe.image)
    await connected.shim.daemon.start()
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', nodes: [] })
  })
})
