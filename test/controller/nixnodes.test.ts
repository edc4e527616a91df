import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import { leases } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { type NodeBuild, nixNodes } from '../../kube/resources/nixnode.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { QUICK_ELECTION, startWorld, type World } from './world.ts'

const RECIPE = {
  flakeUrl: 'github:team/app',
  imageTag: 'docker.io/library/named:1',
  packageName: 'app',
  system: 'x86_64-linux',
}

let world: World
let controller: Controller

beforeAll(async () => {
  world = await startWorld()
  controller = await world.cluster.startController({ flags: ['--lost-grace=500ms', ...QUICK_ELECTION] })
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})

const waitForSpec = (node: string, spec: object) =>
  vi.waitFor(async () => expect((await world.nixNode(node))?.spec).toMatchObject(spec), PATIENT)

describe('a NixNode', () => {
  it('is owned by its Node and says where to look for NixBuilds, though there are none', async () => {
    const node = await world.addNode()
    await vi.waitFor(async () => {
      const { metadata, spec } = (await world.nixNode(node)) ?? {}
      expect(metadata?.ownerReferences).toMatchObject([{ apiVersion: 'v1', kind: 'Node', name: node }])
      expect(spec?.namespaces).toBeInstanceOf(Array)
    }, PATIENT)
  })

  it('is deleted after its Node', async () => {
    const node = await world.addNode()
    await waitForSpec(node, { namespaces: expect.any(Array) })
    await world.removeNode(node)
    await vi.waitFor(async () => expect(await world.nixNode(node)).toBeUndefined(), PATIENT)
  })

  it('is deleted before the Lease of its node, which stays while the shim renews it', async () => {
    const node = await world.addNode()
    await waitForSpec(node, { namespaces: expect.any(Array) })
    await world.removeNode(node)
    await vi.waitFor(async () => expect(await world.nixNode(node)).toBeUndefined(), PATIENT)
    const lease = () => world.kube.get(leases, { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) })
    expect(await lease()).toBeDefined()
    await world.renewLease(node, { durationSeconds: 1 })
    await vi.waitFor(async () => expect(await lease()).toBeUndefined(), PATIENT)
  })

  it('names the namespaces of NixBuilds made by hand', async () => {
    const node = await world.addNode()
    const [byHand, other] = [await world.createNamespace(), await world.createNamespace()]
    await world.addNamedBuild(other, 'named:1')
    await world.addBuild(byHand, { system: 'i686-linux' })
    await waitForSpec(node, { namespaces: expect.arrayContaining([byHand]) })
    expect((await world.nixNode(node))?.spec.namespaces).not.toContain(other)
  })

  it('gets back what another one has written into its spec', async () => {
    const node = await world.addNode()
    await waitForSpec(node, { namespaces: expect.any(Array) })
    const body = { spec: { assigned: [{ namespace: 'team', name: 'forged', recipe: RECIPE }], letGo: ['x'] } }
    await world.kube.patch(nixNodes, { name: node, body }, { type: 'merge', fieldManager: 'test' })
    await waitForSpec(node, { assigned: [], letGo: [] })
  })
})

describe('a pod that a node works for', () => {
  async function addWaitingPod(options: Parameters<World['addPod']>[2] = {}, entry: object = {}) {
    const node = await world.addNode()
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node, options)
    const { uid = '' } = (await world.pod(pod))?.metadata ?? {}
    await report(node, namespace, [{ name: pod.name, uid }], entry)
    return { node, namespace, pod, uid }
  }

  const report = (node: string, namespace: string, pods: NodeBuild['pods'], entry: object = {}) => {
    const recipe = { ...RECIPE, imageTag: 'docker.io/library/app:1' }
    return world.reportRecipe(node, namespace, recipe, { state: 'Building', pods, ...entry })
  }

  const remove = ({ name, namespace }: ObjectName) =>
    world.cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--wait=false', '--grace-period=1'])

  it.each([
    ['with annotations', {}],
    ['without annotations', { annotations: {} }],
  ])('%s is released when it is deleted, until the node has done so', async (_, options) => {
    const { node, namespace, pod, uid } = await addWaitingPod({ ...options, finalizers: ['example.com/kubelet'] })
    await waitForSpec(node, { letGo: [] })
    await remove(pod)
    await waitForSpec(node, { letGo: [uid] })
    await report(node, namespace, [])
    await waitForSpec(node, { letGo: [] })
  })

  it('is released when it is deleted and its image is a store path, of which there is no NixBuild', async () => {
    const options = { annotations: {}, finalizers: ['example.com/kubelet'] }
    const { node, namespace, pod, uid } = await addWaitingPod(options, { recipe: undefined })
    await remove(pod)
    await waitForSpec(node, { letGo: [uid] })
    expect(await world.builds(namespace)).toEqual([])
  })

  it('is released if the API server does not know it any more, unless it is a static pod of the node', async () => {
    const { node, namespace, pod, uid } = await addWaitingPod()
    const [gone, other, fixed] = [randomUUID(), randomUUID(), randomUUID()]
    await report(node, namespace, [
      { name: pod.name, uid },
      { name: 'gone', uid: gone },
      // A pod of a StatefulSet has the name of the one before it.
      { name: pod.name, uid: other },
      { name: `fixed-${node}`, uid: fixed },
    ])
    await waitForSpec(node, { letGo: [gone, other] })
  })

  it('is released by a controller that starts after it was deleted', async () => {
    const { node, pod, uid } = await addWaitingPod({ finalizers: ['example.com/kubelet'] })
    await controller[Symbol.asyncDispose]()
    await remove(pod)
    controller = await world.cluster.startController({ flags: ['--lost-grace=500ms', ...QUICK_ELECTION] })
    await waitForSpec(node, { letGo: [uid] })
  })
})

describe('a recipe that only a node knows', () => {
  it('gets a NixBuild if a pod of the node uses its image, and the pod has the condition', async () => {
    const [node, other] = [await world.addNode(), await world.addNode()]
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node, { annotations: {}, image: 'named:1' })
    await world.reportRecipe(other, namespace, { ...RECIPE, flakeUrl: 'github:other/app' }, { state: 'Building' })
    await world.reportRecipe(node, namespace, RECIPE, { state: 'Building', progress: '1 of 7' })
    await vi.waitFor(async () => {
      const conditions = (await world.pod(pod))?.status.conditions
      const message = expect.stringMatching(new RegExp(`being built on ${node} from github:team/app#app \\(1 of 7\\)$`))
      expect(conditions).toMatchObject([{ type: 'enbi.hrzn.ee/ImageBuilt', reason: 'Building', message }])
    }, PATIENT)
    const builds = await world.builds(namespace)
    expect(builds).toMatchObject([
      { metadata: { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } }, spec: RECIPE },
    ])
  })

  it('gets none if the node names the recipe wrongly', async () => {
    const node = await world.addNode()
    const namespace = await world.createNamespace()
    await world.addPod(namespace, node, { annotations: {}, image: 'named:1' })
    await world.reportRecipe(node, namespace, RECIPE, { state: 'Building', key: 'f'.repeat(64) })
    const last = await world.createNamespace()
    await world.addPod(last, node, { annotations: {}, image: 'named:1' })
    await world.reportRecipe(node, last, RECIPE, { state: 'Building' })
    await vi.waitFor(async () => expect(await world.builds(last)).toHaveLength(1), PATIENT)
    expect(await world.builds(namespace)).toEqual([])
  })
})

describe('a controller that starts again', () => {
  it('leaves builds with the nodes that they were assigned to', async () => {
    const arch = 's390x'
    const nodes = [await world.addNode({ arch }), await world.addNode({ arch })]
    const namespace = await world.createNamespace()
    const builds = [1, 2, 3].map(() => world.addBuild(namespace, { system: 's390x-linux' }))
    const all = await Promise.all(builds)
    const assignedNodes = () => Promise.all(all.map(build => world.assignedNode(build)))
    await vi.waitFor(async () => expect(await assignedNodes()).not.toContain(undefined), PATIENT)
    const before = await assignedNodes()
    await controller[Symbol.asyncDispose]()
    controller = await world.cluster.startController({ flags: ['--lost-grace=500ms', ...QUICK_ELECTION] })
    const last = await world.addBuild(namespace, { system: 's390x-linux' })
    await vi.waitFor(async () => expect(nodes).toContain(await world.assignedNode(last)), PATIENT)
    expect(await assignedNodes()).toEqual(before)
  })
  it('takes builds from nodes whose NixBuilds were deleted meanwhile', async () => {
    const node = await world.addNode({ arch: 'riscv64' })
    const namespace = await world.createNamespace()
    const build = await world.addBuild(namespace, { system: 'riscv64-linux' })
    await waitForSpec(node, { assigned: [{ namespace, name: build.name }] })
    await controller[Symbol.asyncDispose]()
    await world.cluster.kubectl(['delete', 'nixbuild', build.name, `--namespace=${namespace}`])
    controller = await world.cluster.startController({ flags: ['--lost-grace=500ms', ...QUICK_ELECTION] })
    await waitForSpec(node, { assigned: [] })
  })
})
