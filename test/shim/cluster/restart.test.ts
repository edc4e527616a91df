import { copyFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Cluster } from '../../cluster/cluster.ts'
import { useCluster } from '../../cluster/use-cluster.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example } from '../../node/example.ts'
import { PATIENT } from '../../patience.ts'
import { podPull, startConnectedShim, untilBuilds, writeSpec } from './shim-with-cluster.ts'

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
  it('takes the build back before it exits', async () => {
    await using connected = await startConnectedShim(cluster, bed, { config: { shutdownTimeout: '100ms' } })
    const namespace = await cluster.createNamespace()
    const cut = expect(connected.kubelet.pullImage(podPull(namespace, gatedRecipe('stopped')))).rejects.toThrow()
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Building' }])
    expect(await connected.shim.daemon.stop()).toBe(0)
    await cut
    await untilBuilds(cluster, connected.node, namespace, [])
  })
})

describe('a shim that is killed in the middle of a build', () => {
  it('has only its images in its NixNode after the next start', async () => {
    await using connected = await startConnectedShim(cluster, bed)
    const namespace = await cluster.createNamespace()
    const { node, kubelet } = connected
    const image = { ...gatedRecipe('kept'), packageName: 'docker-archive' }
    await kubelet.pullImage(podPull(namespace, image))
    const cut = expect(kubelet.pullImage(podPull(namespace, gatedRecipe('killed'), 'killed'))).rejects.toThrow()
    const [kept] = await untilBuilds(cluster, node, namespace, [{ state: 'Present' }, { state: 'Building' }])
    await connected.shim.daemon.kill()
    await cut
    await connected.shim.daemon.start()
    expect(await untilBuilds(cluster, node, namespace, [{ state: 'Present' }])).toEqual([kept])
  })
})

describe('a pod that is deleted', () => {
  it('has its pull cancelled, and the build continues for another pod', async () => {
    await using connected = await startConnectedShim(cluster, bed)
    const namespace = await cluster.createNamespace()
    const { node, kubelet } = connected
    const recipe = gatedRecipe('let-go')
    const goes = expect(kubelet.pullImage(podPull(namespace, recipe, 'goes'))).rejects.toMatchObject({
      details: expect.stringContaining('pod was deleted'),
    })
    const stays = kubelet.pullImage(podPull(namespace, recipe, 'stays'))
    await untilBuilds(cluster, node, namespace, [{ state: 'Building', pods: [{ uid: 'goes' }, { uid: 'stays' }] }])
    await writeSpec(cluster, node, { letGo: ['goes'] })
    await goes
    await untilBuilds(cluster, node, namespace, [{ state: 'Building', pods: [{ uid: 'stays' }] }])
    await writeFile(gate, '')
    await expect(stays).resolves.toMatch(/^sha256:/)
  })

  it('and was the last that waited has its build cancelled', async () => {
    const config = { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } }
    await using connected = await startConnectedShim(cluster, bed, { config })
    const namespace = await cluster.createNamespace()
    const pull = connected.kubelet.pullImage(podPull(namespace, gatedRecipe('last'), 'last'))
    const sentAway = expect(pull).rejects.toMatchObject({ details: expect.stringContaining('pod was deleted') })
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Building', pods: [{ uid: 'last' }] }])
    await expect.poll(isBuilding, PATIENT).toBe(true)
    await writeSpec(cluster, connected.node, { letGo: ['last'] })
    await sentAway
    await expect.poll(isBuilding, PATIENT).toBe(false)
    await untilBuilds(cluster, connected.node, namespace, [])
  })
})

describe('a pod that is deleted between two of its pulls', () => {
  it('has its build cancelled, because it will not pull again', async () => {
    const config = { nix: { user: bed.buildUser.name, abandonAfter: '100ms', holdPulls: '1s' } }
    await using connected = await startConnectedShim(cluster, bed, { config })
    const namespace = await cluster.createNamespace()
    const { node, kubelet } = connected
    await expect(kubelet.pullImage(podPull(namespace, gatedRecipe('held'), 'held'))).rejects.toMatchObject({
      details: expect.stringContaining('still building'),
    })
    await untilBuilds(cluster, node, namespace, [{ state: 'Building', pods: [{ uid: 'held' }] }])
    await expect.poll(isBuilding, PATIENT).toBe(true)
    await writeSpec(cluster, node, { letGo: ['held'] })
    await expect.poll(isBuilding, PATIENT).toBe(false)
    await untilBuilds(cluster, node, namespace, [])
  })
})

describe('an assigned build that is not assigned any more', () => {
  it('is cancelled', async () => {
    const config = { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } }
    await using connected = await startConnectedShim(cluster, bed, { config })
    const namespace = await cluster.createNamespace()
    const { image: imageTag, ...rest } = gatedRecipe('taken')
    const assigned = [{ namespace, name: 'taken', recipe: { imageTag, ...rest, system: 'x86_64-linux' } }]
    await writeSpec(cluster, connected.node, { assigned })
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Building', nixBuild: 'taken', pods: [] }])
    await expect.poll(isBuilding, PATIENT).toBe(true)
    await writeSpec(cluster, connected.node, { assigned: [] })
    await expect.poll(isBuilding, PATIENT).toBe(false)
    await untilBuilds(cluster, connected.node, namespace, [])
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
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Present' }])
  })
})

describe('an image that is removed while no shim is running', () => {
  it('is not reported by the next shim', async () => {
    await using connected = await startConnectedShim(cluster, bed)
    const namespace = await cluster.createNamespace()
    const recipe = { ...gatedRecipe('gone'), packageName: 'docker-archive' }
    await connected.kubelet.pullImage(podPull(namespace, recipe))
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Present' }])
    await connected.shim.daemon.stop()
    await bed.cri().removeImage(recipe.image)
    await connected.shim.daemon.start()
    await untilBuilds(cluster, connected.node, namespace, [])
  })
})
