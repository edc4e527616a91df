import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { firstBuild } from './first-build.ts'
import { ANNOTATIONS, CREATED_FOR_PODS, pending } from './views.ts'
import { startWorld, type World } from './world.ts'

const KEEP = 'cluster-autoscaler.kubernetes.io/scale-down-disabled'
const MARK = 'enbi.hrzn.ee/scale-down-disabled'
const KEPT = { [KEEP]: 'true', [MARK]: 'true' }

let world: World
let controller: Controller
let namespace: string

beforeAll(async () => {
  world = await startWorld()
  const flags = ['--node-repel=pool=serving', '--tolerate=dedicated=builds', '--tolerate=spot', '--builder-grace=500ms']
  controller = await world.cluster.startController({ flags })
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

const waitForNode = (build: ObjectName, node: string) =>
  vi.waitFor(async () => expect(await world.assignedNode(build)).toBe(node), PATIENT)

const waitForCondition = (pod: ObjectName, reason: string, message: RegExp) =>
  vi.waitFor(async () => {
    const expected = [{ type: 'enbi.hrzn.ee/ImageBuilt', reason, message: expect.stringMatching(message) }]
    expect((await world.pod(pod))?.status.conditions).toMatchObject(expected)
  }, PATIENT)

const waitForAnnotations = (node: string, expected: object) =>
  vi.waitFor(async () => expect(await world.nodeAnnotations(node)).toEqual(expected), PATIENT)

describe('a NixBuild made by hand', () => {
  it('goes to a node without pressure whose taints are tolerated', async () => {
    const arch = 'riscv64'
    const taint = (key: string, effect: string, value = '') => ({ key, value, effect })
    await world.addNode({ arch, taints: [taint('dedicated', 'NoSchedule', 'db')] })
    await world.addNode({ arch, taints: [taint('spot', 'NoSchedule'), taint('other', 'NoExecute')] })
    for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'])
      await world.setCondition(await world.addNode({ arch }), type, 'True')
    const waiting = await world.addBuild(namespace, { system: 'riscv64-linux' })
    const reasons = [
      'of 6 nodes for riscv64-linux',
      '1 with the taint dedicated, which --tolerate does not name',
      '1 with the taint other',
      '1 with DiskPressure',
      '1 with NetworkUnavailable',
    ]
    await vi.waitFor(async () => {
      const [complete] = (await world.build(waiting))?.status.conditions ?? []
      for (const reason of reasons) expect(complete?.message).toContain(reason)
    }, PATIENT)
    const taints = [
      taint('dedicated', 'NoSchedule', 'builds'),
      taint('spot', 'NoExecute'),
      taint('soft', 'PreferNoSchedule'),
    ]
    const node = await world.addNode({ arch, taints })
    await waitForNode(waiting, node)
  })

  it('goes to a node with the labels of its nodeSelector, also if they come later', async () => {
    const arch = 'arm64'
    const system = 'aarch64-linux'
    await world.addNode({ arch, labels: { disk: 'slow' } })
    const node = await world.addNode({ arch, labels: { disk: 'slow', other: 'x' } })
    const build = await world.addBuild(namespace, { system, nodeSelector: { disk: 'fast', other: 'x' } })
    const reason = 'of 2 nodes for aarch64-linux: 2 without the labels of its nodeSelector'
    await waitForBuild(build, { status: pending('NoNode', expect.stringContaining(reason)) })
    await world.changeNode(node, { metadata: { labels: { disk: 'fast' } } })
    await waitForNode(build, node)
  })
})

describe('a NixBuild for pods', () => {
  // Each waits several times until the NixBuild may be written again.
  it.concurrent.each([
    ['has no shim', { withoutShim: true }, 'ppc64le', 'powerpc64le-linux', 'no shim runs on node'],
    ['is repelled', { labels: { pool: 'serving' } }, 's390x', 's390x-linux', 'is excluded by --node-repel'],
  ])(
    'goes to another node if that of its pod %s, and the pod says so',
    async (_name, options, arch, system, problem) => {
      const namespace = await world.createNamespace()
      const node = await world.addNode({ arch, ...options })
      const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-system': system }
      const pod = await world.addPod(namespace, node, { annotations })
      const build = await firstBuild(world, namespace)
      await waitForBuild(build, { status: pending('NoNode', expect.stringContaining('no node can build it')) })
      await waitForCondition(pod, 'Pending', new RegExp(`has not started: .*${problem}`))
      const builder = await world.addNode({ arch })
      await waitForBuild(build, { metadata: CREATED_FOR_PODS, status: { status: 'Pending' } })
      await waitForNode(build, builder)
      await waitForAnnotations(builder, KEPT)
      await world.report(builder, build, { state: 'Building' })
      await waitForCondition(
        pod,
        'Building',
        new RegExp(`being built on ${builder} from \\S+; ${node} does not get it from there: .*${problem}`),
      )
      await world.report(builder, build, { state: 'Present' })
      await waitForCondition(
        pod,
        'Pending',
        new RegExp(`built on ${builder}, but ${node} does not have it: .*${problem}`),
      )
      await waitForAnnotations(builder, {})
    },
  )
})

describe('a node that builds for others', () => {
  it('is kept from the cluster autoscaler as long as it builds', async () => {
    const node = await world.addNode({ arch: '386' })
    const builds = [
      await world.addBuild(namespace, { system: 'i686-linux' }),
      await world.addBuild(namespace, { system: 'i686-linux', imageTag: 'app:2' }),
    ]
    for (const build of builds) await waitForNode(build, node)
    await waitForAnnotations(node, KEPT)
    for (const build of builds) await world.report(node, build, { state: 'Present' })
    await waitForAnnotations(node, {})
  })

  it.each(['true', 'false'])('keeps the value %s that a user has set', async value => {
    const node = await world.addNode({ arch: 'arm', labels: { value } })
    await world.changeNode(node, { metadata: { annotations: { [KEEP]: value } } })
    const nodeSelector = { value }
    const build = await world.addBuild(namespace, { system: 'armv7l-linux', nodeSelector })
    await waitForNode(build, node)
    await world.report(node, build, { state: 'Present' })
    // The other node shows that the controller has got this far.
    const other = await world.addNode({ arch: 'mips64le', labels: { value } })
    const next = await world.addBuild(namespace, { system: 'mips64el-linux', nodeSelector })
    await waitForNode(next, other)
    await waitForAnnotations(other, KEPT)
    expect(await world.nodeAnnotations(node)).toEqual({ [KEEP]: value })
  })

  it('is not kept for builds of its own pods', async () => {
    const node = await world.addNode({ arch: 'amd64' })
    const pod = await world.addPod(namespace, node)
    await vi.waitFor(async () => expect(await world.builds(namespace)).toHaveLength(1), PATIENT)
    const [build] = await world.builds(namespace)
    const name = { namespace, name: build?.metadata.name ?? '' }
    await world.report(node, name, { state: 'Building' })
    await waitForCondition(pod, 'Building', new RegExp(`on ${node}`))
    expect(await world.nodeAnnotations(node)).toEqual({})
  })
})
