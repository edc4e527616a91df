import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import type { Condition } from '../../kube/resources/condition.ts'
import { nixBuildNames } from '../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { ANNOTATIONS } from './views.ts'
import { startWorld, type World } from './world.ts'

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs-1', controller: true }

let world: World
let controller: Controller
let node: string

beforeAll(async () => {
  world = await startWorld()
  controller = await world.cluster.startController({ flags: ['--log-level=debug'] })
  node = await world.addNode()
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})

async function conditionOf(pod: ObjectName): Promise<Condition | undefined> {
  return (await world.pod(pod))?.status.conditions.find(({ type }) => type === 'enbi.hrzn.ee/ImageBuilt')
}

const waitForCondition = (pod: ObjectName, condition: object) =>
  vi.waitFor(async () => expect(await conditionOf(pod)).toMatchObject(condition), PATIENT)

function waitForBuild(namespace: string): Promise<NixBuild & { metadata: { namespace: string } }> {
  return vi.waitFor(async () => {
    const [build] = await world.builds(namespace)
    if (!build) throw new Error('no NixBuild')
    return { ...build, metadata: { ...build.metadata, namespace } }
  }, PATIENT)
}

describe('an annotated pod with a node', () => {
  it('gets a NixBuild and a condition that follows it to the end', async () => {
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node)
    const { metadata, spec } = await waitForBuild(namespace)
    expect(spec).toEqual({
      flakeUrl: 'github:team/app',
      imageTag: 'docker.io/library/app:1',
      packageName: 'app',
      system: 'x86_64-linux',
    })
    expect(metadata.labels).toEqual({ 'app.kubernetes.io/managed-by': 'enbi-controller' })
    await waitForCondition(pod, { status: 'False', reason: 'Pending' })
    await world.report(node, metadata, { state: 'Building' })
    await waitForCondition(pod, { status: 'False', reason: 'Building', message: expect.stringContaining(node) })
    const begun = (await conditionOf(pod))?.lastTransitionTime
    await world.report(node, metadata, { state: 'Importing' })
    await waitForCondition(pod, { status: 'False', reason: 'Importing', lastTransitionTime: begun })
    await world.report(node, metadata, { state: 'Present' })
    await waitForCondition(pod, { status: 'True', reason: 'Built' })
  })

  it('has a condition that says why its build failed', async () => {
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node)
    const { metadata } = await waitForBuild(namespace)
    // By the node's clock, which is behind.
    const since = '2026-01-01T00:00:00Z'
    const message = 'builder failed: no such file'
    await world.report(node, metadata, { state: 'Failed', since, message, logTail: 'the log' })
    await waitForCondition(pod, { reason: 'Failed', message: expect.stringContaining('builder failed: no such file') })
    await vi.waitFor(async () => {
      const { status } = await waitForBuild(namespace)
      expect(status).toMatchObject({ status: 'Failed', buildNode: node, progress: 'failed', logTail: 'the log' })
      expect(status.conditions).toMatchObject([{ message: 'Build failed' }, { status: 'False', message }])
    }, PATIENT)
  })

  it('shares its NixBuild with all pods of the recipe, and each has the condition', async () => {
    const namespace = await world.createNamespace()
    const other = await world.addNode()
    const [one, two, three] = await Promise.all([
      world.addPod(namespace, node),
      world.addPod(namespace, node),
      world.addPod(namespace, other),
    ])
    const { metadata } = await waitForBuild(namespace)
    await world.report(node, metadata, { state: 'Present' })
    await waitForCondition(one, { status: 'True' })
    await waitForCondition(two, { status: 'True' })
    await waitForCondition(three, {
      status: 'False',
      message: expect.stringContaining(`built on ${node}, but ${other} does not have it`),
    })
    await world.report(other, metadata, { state: 'Present' })
    await waitForCondition(three, { status: 'True' })
    expect(await world.builds(namespace)).toHaveLength(1)
  })

  it('uses a NixBuild of its recipe that was made by hand', async () => {
    const namespace = await world.createNamespace()
    const made = await world.addBuild(namespace)
    const pod = await world.addPod(namespace, node)
    await waitForCondition(pod, { reason: 'Pending' })
    await world.report(node, made, { state: 'Present' })
    await waitForCondition(pod, { status: 'True' })
    expect(await world.builds(namespace)).toHaveLength(1)
  })

  it('needs no NixBuild if a container runs from its image', async () => {
    const namespace = await world.createNamespace()
    const annotations = {}
    const pod = await world.addPod(namespace, node, { annotations })
    const running = { name: 'app', image: 'app:1', imageID: 'sha256:1', ready: true, restartCount: 0 }
    await world.setPodStatus(pod, { containerStatuses: [running] })
    await world.cluster.kubectl(['annotate', 'pod', pod.name, `--namespace=${namespace}`, ...flags(ANNOTATIONS)])
    await waitForCondition(pod, { status: 'True' })
    expect(await world.builds(namespace)).toEqual([])
  })

  it('builds for the system of its node', async () => {
    const namespace = await world.createNamespace()
    await world.addPod(namespace, await world.addNode({ arch: 'arm64' }))
    expect((await waitForBuild(namespace)).spec.system).toBe('aarch64-linux')
  })
})

describe('the owners of a NixBuild', () => {
  it('are the distinct owners of its pods', async () => {
    const namespace = await world.createNamespace()
    await world.addPod(namespace, node, { ownerReferences: [OWNER] })
    await waitForBuild(namespace)
    await world.addPod(namespace, node, { ownerReferences: [OWNER] })
    await world.addPod(namespace, node, { ownerReferences: [{ ...OWNER, uid: 'rs-2', name: 'other' }] })
    await world.addPod(namespace, node)
    await vi.waitFor(async () => {
      const owners = (await waitForBuild(namespace)).metadata.ownerReferences
      expect(owners.map(({ uid, controller }) => [uid, controller])).toEqual([
        ['rs-1', false],
        ['rs-2', false],
      ])
    }, PATIENT)
  })
})

describe('a pod whose image cannot be built', () => {
  it('because of its annotations gets a condition and one event, but no NixBuild', async () => {
    const namespace = await world.createNamespace()
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-flakeUrl': '--option' }
    const pod = await world.addPod(namespace, node, { annotations })
    const message = expect.stringContaining('enbi.hrzn.ee/nixbuild-flakeUrl')
    await waitForCondition(pod, { status: 'False', reason: 'Failed', message })
    await waitForEvent(namespace, { reason: 'NixBuildInvalid', type: 'Warning', message, count: 1 })
    await settle(pod)
    expect(await world.events(namespace)).toHaveLength(1)
    expect(await world.builds(namespace)).toEqual([])
  })

  it('because it is for another system gets one event', async () => {
    const namespace = await world.createNamespace()
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-system': 'aarch64-linux' }
    const pod = await world.addPod(namespace, node, { annotations })
    const message = expect.stringMatching(/is for aarch64-linux, and node .* is x86_64-linux/)
    await waitForCondition(pod, { status: 'False', reason: 'Failed', message })
    await waitForEvent(namespace, { reason: 'NixBuildUnsupported', message, count: 1 })
    await settle(pod)
    expect(await world.events(namespace)).toMatchObject([{ count: 1 }])
    expect(await world.builds(namespace)).toEqual([])
  })

  it('because a tool rewrote its name has a condition that names both until its container runs', async () => {
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node, { image: 'mirror.example/app:1' })
    const message = expect.stringMatching(/names "docker\.io\/library\/app:1".*the nearest is "mirror\.example\/app:1"/)
    await waitForCondition(pod, { status: 'False', reason: 'Pending', message })
    expect(await world.builds(namespace)).toEqual([])
    const running = { name: 'app', image: 'mirror.example/app:1', imageID: 'sha256:1', ready: true, restartCount: 0 }
    await world.setPodStatus(pod, { containerStatuses: [running] })
    await vi.waitFor(async () => expect(await conditionOf(pod)).toBeUndefined(), PATIENT)
  })

  it('because its node runs no shim has a condition that says so until it does', async () => {
    const namespace = await world.createNamespace()
    const bare = await world.addNode({ withoutShim: true })
    const pod = await world.addPod(namespace, bare)
    await waitForCondition(pod, { reason: 'Pending', message: expect.stringContaining(`no shim runs on node ${bare}`) })
    await world.renewLease(bare)
    await waitForCondition(pod, { reason: 'Pending', message: expect.stringMatching(/has not started$/) })
  })

  it('because its NixBuild is refused has a condition that says why until it is created', async () => {
    const namespace = await world.createNamespace()
    const { kubectl } = world.cluster
    await kubectl(['create', 'quota', 'none', '--hard=count/nixbuilds.enbi.hrzn.ee=0', `--namespace=${namespace}`])
    const status = { hard: { 'count/nixbuilds.enbi.hrzn.ee': '0' }, used: { 'count/nixbuilds.enbi.hrzn.ee': '0' } }
    // As the controller manager would set it.
    const patch = ['--subresource=status', '--type=merge', `--patch=${JSON.stringify({ status })}`]
    await kubectl(['patch', 'quota', 'none', `--namespace=${namespace}`, ...patch])
    const pod = await world.addPod(namespace, node)
    await waitForCondition(pod, {
      reason: 'Pending',
      message: expect.stringMatching(/has not started: .*exceeded quota/),
    })
    await kubectl(['delete', 'quota', 'none', `--namespace=${namespace}`])
    await waitForCondition(pod, { reason: 'Pending', message: expect.stringMatching(/has not started$/) })
  })

  it('because other recipes have all names of its NixBuild has a condition that says so', async () => {
    const namespace = await world.createNamespace()
    const other = { flakeUrl: 'github:team/other', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
    const elsewhere = await world.addPod(await world.createNamespace(), node)
    const names = nixBuildNames(recipeOf(await waitForBuild(elsewhere.namespace ?? '')))
    for (const name of names) await world.kube.create(nixBuilds, { namespace, name, body: { spec: other } })
    const pod = await world.addPod(namespace, node)
    await waitForCondition(pod, {
      reason: 'Pending',
      message: expect.stringMatching(/and its alternatives have other recipes/),
    })
  })
})

describe('the condition of a pod', () => {
  it('is removed with its annotations and their NixBuild, and other conditions stay', async () => {
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node)
    const others = ['Ready', 'PodScheduled', 'example.com/other'].map(type => ({ type, status: 'False' }))
    await world.setPodStatus(pod, { conditions: others })
    await waitForCondition(pod, { reason: 'Pending' })
    const names = Object.keys(ANNOTATIONS).map(name => `${name}-`)
    await world.cluster.kubectl(['annotate', 'pod', pod.name, `--namespace=${namespace}`, ...names])
    // Until it is deleted, the NixBuild applies to pods without annotations.
    await world.cluster.kubectl(['delete', 'nixbuild', '--all', `--namespace=${namespace}`])
    await vi.waitFor(async () => {
      const conditions = (await world.pod(pod))?.status.conditions
      expect(conditions).toMatchObject(others)
      expect(conditions).toHaveLength(others.length)
    }, PATIENT)
  })

  it('is not Built while the image that replaced the one of its container is built', async () => {
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node)
    const { metadata } = await waitForBuild(namespace)
    await world.report(node, metadata, { state: 'Present' })
    const running = { name: 'app', image: 'docker.io/library/app:1', imageID: 'sha256:1', ready: true, restartCount: 0 }
    await world.setPodStatus(pod, { containerStatuses: [running] })
    await waitForCondition(pod, { reason: 'Built' })
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-imageTag': 'app:2' }
    const patch = { metadata: { annotations }, spec: { containers: [{ name: 'app', image: 'app:2' }] } }
    await world.cluster.kubectl([
      ...['patch', 'pod', pod.name, `--namespace=${namespace}`],
      ...['--type=strategic', `--patch=${JSON.stringify(patch)}`],
    ])
    await waitForCondition(pod, { status: 'False', reason: 'Pending', message: expect.stringContaining('app:2') })
    const build = await vi.waitFor(async () => {
      const found = (await world.builds(namespace)).find(({ spec }) => spec.imageTag.endsWith('app:2'))
      if (!found) throw new Error('no NixBuild')
      return { namespace, name: found.metadata.name }
    }, PATIENT)
    await world.report(node, build, { state: 'Building', progress: '1 of 7' })
    await waitForCondition(pod, { status: 'False', reason: 'Building', message: expect.stringContaining('(1 of 7)') })
  })

  it('is missing while the pod has no node', async () => {
    const namespace = await world.createNamespace()
    const waiting = await world.addPod(namespace, '')
    const pod = await world.addPod(namespace, node)
    await waitForCondition(pod, { reason: 'Pending' })
    expect(await conditionOf(waiting)).toBeUndefined()
  })
})

function waitForEvent(namespace: string, event: object): Promise<void> {
  return vi.waitFor(
    async () => expect(await world.events(namespace)).toContainEqual(expect.objectContaining(event)),
    PATIENT,
  )
}

/** Changes the pod and waits until the controller has reconciled it again: a later pod has its condition. */
async function settle({ namespace = '', name }: ObjectName): Promise<void> {
  await world.cluster.kubectl(['label', 'pod', name, `--namespace=${namespace}`, 'changed=again'])
  await waitForCondition(await world.addPod(await world.createNamespace(), node), { reason: 'Pending' })
}

function flags(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([key, value]) => `${key}=${value}`)
}
