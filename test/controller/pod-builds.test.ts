import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { firstBuild } from './first-build.ts'
import { ANNOTATIONS, pending } from './views.ts'
import { startWorld, type World } from './world.ts'

let world: World
let controller: Controller
let namespace: string

beforeAll(async () => {
  world = await startWorld()
  controller = await world.cluster.startController({ flags: ['--lost-grace=500ms', '--unwanted-grace=1s'] })
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  namespace = await world.createNamespace()
})

const waitForBuild = (build: ObjectName, expected: object) =>
  vi.waitFor(async () => expect(await world.build(build)).toMatchObject(expected), PATIENT)

const NONE: ObjectName = { name: '' }

/** An owner of pods that no controller manages. */
async function createOwner() {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owner' } }
  const args = ['create', '--filename=-', '--output=jsonpath={.metadata.uid}', `--namespace=${namespace}`]
  const uid = await world.cluster.kubectl(args, { input: JSON.stringify(body) })
  return { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid, controller: true }
}

describe('a NixBuild for a pod', () => {
  it('stays with a node that is not ready while its shim lives', async () => {
    const node = await world.addNode({ arch: 'arm64' })
    const pod = await world.addPod(namespace, node)
    const build = await firstBuild(world, namespace)
    await world.report(node, build, { state: 'Building' })
    const byHand = await world.addBuild(namespace, { system: 'aarch64-linux', imageTag: 'other:1' })
    await vi.waitFor(async () => expect(await world.assignedNode(byHand)).toBe(node), PATIENT)
    await world.setReady(node, 'Unknown')
    await waitForBuild(byHand, { status: pending('NoNode', expect.stringContaining('1 not ready')) })
    await waitForBuild(build, { status: { status: 'Building', buildNode: node, attempts: [] } })
    const conditions = async () => (await world.pod(pod))?.status.conditions
    await expect.poll(conditions, PATIENT).toMatchObject([{ reason: 'Building' }])
  })

  it('waits for another node if its own is lost, and the pod says so', async () => {
    const node = await world.addNode()
    const other = await world.addNode()
    await world.addPod(namespace, node)
    const pod = await world.addPod(namespace, other)
    const build = await firstBuild(world, namespace)
    await world.report(node, build, { state: 'Building' })
    await vi.waitFor(async () => {
      expect((await world.pod(pod))?.status.conditions).toMatchObject([{ reason: 'Building' }])
    }, PATIENT)
    await world.removeNode(node)
    await waitForBuild(build, {
      status: { ...pending('NodeLost', expect.stringContaining(`node ${node} is gone`)), attempts: [{ node }] },
    })
    await vi.waitFor(async () => {
      expect((await world.pod(pod))?.status.conditions).toMatchObject([{ reason: 'Pending' }])
    }, PATIENT)
  })
})

describe('a NixBuild that no pod waits for any more', () => {
  let node: string
  beforeAll(async () => {
    node = await world.addNode()
  })

  it('is removed when its pods are gone, even if it is being built', async () => {
    const pod = await world.addPod(namespace, node)
    await world.report(node, await firstBuild(world, namespace), { state: 'Building' })
    await vi.waitFor(async () => {
      expect((await world.pod(pod))?.status.conditions).toMatchObject([{ reason: 'Building' }])
    }, PATIENT)
    await world.cluster.kubectl(['delete', 'pod', pod.name, `--namespace=${namespace}`, '--force', '--grace-period=0'])
    await vi.waitFor(async () => expect(await world.builds(namespace)).toEqual([]), PATIENT)
  })

  it('stays while a pod without annotations names its image, or one that has started pulls it again', async () => {
    const images = ['plain:1', 'again:1', 'gone:1']
    const pods = new Map<string, ObjectName>()
    for (const image of images) {
      const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-imageTag': image }
      pods.set(image, await world.addPod(namespace, node, { annotations, image }))
    }
    await world.addPod(namespace, node, { annotations: {}, image: 'plain:1' })
    await vi.waitFor(async () => expect(await world.builds(namespace)).toHaveLength(images.length), PATIENT)
    const builds = (await world.builds(namespace)).map(({ metadata }) => ({ ...metadata, namespace }))
    for (const build of builds) await world.report(node, build, { state: 'Building' })
    // A started pod is counted only for a build that is known to have begun.
    for (const build of builds) await waitForBuild(build, { status: { buildNode: node } })
    const started = { name: 'app', image: 'again:1', imageID: 'sha256:1', ready: true, restartCount: 1 }
    await world.setPodStatus(pods.get('again:1') ?? { name: '' }, { containerStatuses: [started] })
    for (const image of ['plain:1', 'gone:1']) {
      const name = pods.get(image)?.name ?? ''
      await world.cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--force', '--grace-period=0'])
    }
    await vi.waitFor(async () => {
      const left = (await world.builds(namespace)).map(({ spec }) => spec.imageTag)
      expect(left.toSorted()).toEqual(['docker.io/library/again:1', 'docker.io/library/plain:1'])
    }, PATIENT)
  })

  it('is removed once no pod names its image any more', async () => {
    const images = ['named:1', 'named:2']
    const owner = await createOwner()
    const pods: ObjectName[] = []
    for (const image of images)
      pods.push(await world.addPod(namespace, node, { annotations: {}, image, ownerReferences: [owner] }))
    const builds: ObjectName[] = []
    for (const image of images) builds.push(await world.addNamedBuild(namespace, image))
    const [pod = NONE, other = NONE] = pods
    const [build = NONE, unwanted = NONE] = builds
    const waitForReason = (reason: string) =>
      vi.waitFor(async () => expect((await world.pod(pod))?.status.conditions).toMatchObject([{ reason }]), PATIENT)
    for (const each of builds) await world.report(node, each, { state: 'Building' })
    await waitForReason('Building')
    await waitForBuild(build, { metadata: { ownerReferences: [{ uid: owner.uid }] } })
    const gone = ['delete', 'pod', other.name, `--namespace=${namespace}`, '--force', '--grace-period=0']
    await world.cluster.kubectl(gone)
    await vi.waitFor(async () => expect(await world.build(unwanted)).toBeUndefined(), PATIENT)
    await world.report(node, build, { state: 'Present' })
    await waitForReason('Built')
  })

  it('is created again if it is removed while a pod waits', async () => {
    await world.addPod(namespace, node)
    const uid = async () => (await world.build(await firstBuild(world, namespace)))?.metadata.uid
    const before = await uid()
    await world.cluster.kubectl([
      'delete',
      'nixbuild',
      (await firstBuild(world, namespace)).name,
      `--namespace=${namespace}`,
    ])
    await vi.waitFor(async () => expect([before, undefined]).not.toContain(await uid()), PATIENT)
  })
})

describe('a failure of before a NixBuild was made again', () => {
  const remove = ({ name }: ObjectName) =>
    world.cluster.kubectl(['delete', 'nixbuild', name, `--namespace=${namespace}`])

  it('counts while the pod still waits that it concerned', async () => {
    const node = await world.addNode()
    await world.addPod(namespace, node)
    const build = await firstBuild(world, namespace)
    await world.report(node, build, { state: 'Failed', message: 'no space' })
    await waitForBuild(build, { status: { status: 'Failed' } })
    const { uid } = (await world.build(build))?.metadata ?? {}
    await secondPasses()
    await remove(build)
    await waitForBuild(build, {
      metadata: { uid: expect.not.stringMatching(`^${uid}$`) },
      status: { status: 'Failed', buildNode: node },
    })
  })

  it('does not count if no pod waits: a node gets the build again', async () => {
    const node = await world.addNode({ arch: 's390x' })
    const spec = { system: 's390x-linux' }
    const build = await world.addBuild(namespace, spec)
    await vi.waitFor(async () => expect(await world.assignedNode(build)).toBe(node), PATIENT)
    await world.report(node, build, { state: 'Failed', message: 'no space' })
    await waitForBuild(build, { status: { status: 'Failed' } })
    await vi.waitFor(async () => expect(await world.assignedNode(build)).toBeUndefined(), PATIENT)
    await secondPasses()
    await remove(build)
    await world.addBuild(namespace, spec, build.name)
    await vi.waitFor(async () => expect(await world.assignedNode(build)).toBe(node), PATIENT)
    expect((await world.build(build))?.status.status).not.toBe('Failed')
  })
})

/** The API server's times have no fractions. */
async function secondPasses(): Promise<void> {
  const second = Math.floor(Date.now() / 1000)
  await expect.poll(() => Math.floor(Date.now() / 1000), PATIENT).toBeGreaterThan(second)
}

describe('the nodes of a NixBuild', () => {
  it('are counted, with a few names, until they are gone', async () => {
    const [one, two, three] = [await world.addNode(), await world.addNode(), await world.addNode()]
    for (const node of [one, two, three]) await world.addPod(namespace, node)
    const build = await firstBuild(world, namespace)
    await world.report(one, build, { state: 'Present', imageDigest: 'sha256:1' })
    await world.report(two, build, { state: 'Present', imageDigest: 'sha256:1' })
    await world.report(three, build, { state: 'Building' })
    const nodes = [one, two].toSorted()
    await waitForBuild(build, { status: { ready: { count: 2, nodes }, building: { count: 1, nodes: [three] } } })
    await world.removeNode(one)
    await waitForBuild(build, { status: { status: 'Succeeded', ready: { count: 1, nodes: [two] } } })
  })

  it('include one that failed although another one has the image', async () => {
    const [one, two] = [await world.addNode(), await world.addNode()]
    await world.addPod(namespace, one)
    const pod = await world.addPod(namespace, two)
    const build = await firstBuild(world, namespace)
    await world.report(one, build, { state: 'Present', imageDigest: 'sha256:1' })
    await world.report(two, build, { state: 'Failed', message: 'no space left' })
    await waitForBuild(build, {
      status: {
        status: 'Succeeded',
        ready: { count: 1, nodes: [one] },
        failed: { count: 1, nodes: [two] },
        conditions: [{}, { status: 'True', message: `Image loaded as sha256:1; failed on ${two}: no space left` }],
      },
    })
    await vi.waitFor(async () => {
      const message = expect.stringContaining(`built on ${one}, but failed on ${two}: no space left`)
      expect((await world.pod(pod))?.status.conditions).toMatchObject([{ reason: 'Failed', message }])
    }, PATIENT)
  })
})
