import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { pending } from './views.ts'
import { startWorld, type World } from './world.ts'

let world: World
let controller: Controller
let namespace: string

beforeAll(async () => {
  world = await startWorld()
  const flags = ['--node-repel=example.com/pool in (db,web),!example.com/never', '--lost-grace=500ms', '--max-tries=2']
  controller = await world.cluster.startController({ flags })
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  namespace = await world.createNamespace()
})

/** Each test has nodes of its own system. */
const ARCHES = ['386', 'arm', 'arm64', 'loong64', 'mips64le', 'ppc64le', 'riscv64', 's390x', 'amd64']
const SYSTEMS: Readonly<Record<string, string>> = {
  '386': 'i686-linux',
  arm: 'armv7l-linux',
  arm64: 'aarch64-linux',
  loong64: 'loongarch64-linux',
  mips64le: 'mips64el-linux',
  ppc64le: 'powerpc64le-linux',
  riscv64: 'riscv64-linux',
  s390x: 's390x-linux',
  amd64: 'x86_64-linux',
}

function takeArch(): { arch: string; system: string } {
  const arch = ARCHES.pop() ?? ''
  return { arch, system: SYSTEMS[arch] ?? '' }
}

const LEASE_SECONDS = 3

/** Acts as the shim of a node. `clock` is how far its clock is ahead, in milliseconds. */
function startRenewing(node: string, clock = 0): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const renewing = renew()
  async function renew(): Promise<void> {
    while (!stopping.signal.aborted) {
      await world.renewLease(node, { durationSeconds: LEASE_SECONDS, renewTime: new Date(Date.now() + clock) })
      await delay(100, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
  return {
    stop: () => {
      stopping.abort()
      return renewing
    },
  }
}

const waitForBuild = (build: ObjectName, expected: object) =>
  vi.waitFor(async () => expect(await world.build(build)).toMatchObject(expected), PATIENT)

const waitForNode = (build: ObjectName, node: string) =>
  vi.waitFor(async () => expect(await world.assignedNode(build)).toBe(node), PATIENT)

describe('a NixBuild made by hand', () => {
  it('is assigned to a node that can build it, and says so', async () => {
    const { arch, system } = takeArch()
    const poolOf = (pool: string) => ({ 'example.com/pool': pool })
    await world.addNode({ arch, ready: false })
    await world.addNode({ arch, unschedulable: true })
    await world.addNode({ arch, withoutShim: true })
    await world.addNode({ arch, labels: poolOf('db') })
    const node = await world.addNode({ arch, labels: poolOf('build') })
    const build = await world.addBuild(namespace, { system })
    await waitForBuild(build, { status: pending('GivenToNode', `assigned to node ${node}`) })
    await waitForNode(build, node)
    const { spec } = (await world.build(build)) ?? {}
    const key = spec && recipeKey(recipeOf({ spec }))
    expect((await world.nixNode(node))?.spec.assigned).toEqual([{ ...build, key, recipe: spec }])
  })

  it('is assigned to the node with the fewest builds', async () => {
    const { arch, system } = takeArch()
    const nodes = [await world.addNode({ arch }), await world.addNode({ arch }), await world.addNode({ arch })]
    const add = () => world.addBuild(namespace, { system })
    const builds: ObjectName[] = []
    // One after the other, until the controller has surely seen every node; then several at the same time.
    while (builds.length < nodes.length) {
      const build = await add()
      builds.push(build)
      await vi.waitFor(async () => expect(await world.assignedNode(build)).toBeDefined(), PATIENT)
    }
    builds.push(...(await Promise.all(nodes.map(add))))
    await vi.waitFor(async () => {
      const all = await Promise.all(nodes.map(node => world.nixNode(node)))
      const counts = all.map(nixNode => nixNode?.spec.assigned.length)
      expect(counts).toEqual([2, 2, 2])
    }, PATIENT)
  })

  it('says why no node can build it, and is assigned to the first that can', async () => {
    const { arch, system } = takeArch()
    // The reason of one build changes at most once a minute, so each step has its own build.
    const builds: ObjectName[] = []
    async function expectHeld(reason: string): Promise<void> {
      const build = await world.addBuild(namespace, { system })
      builds.push(build)
      await waitForBuild(build, { status: pending('NoNode', expect.stringContaining(reason)) })
    }
    await expectHeld(`no node is ${system}`)
    const node = await world.addNode({ arch, ready: false, withoutShim: true })
    await expectHeld('1 not ready')
    await world.setReady(node, 'True')
    await expectHeld('1 without a shim')
    await world.renewLease(node)
    for (const build of builds) await waitForNode(build, node)
    const events = (await world.events(namespace)).filter(({ reason }) => reason === 'NoNode')
    expect(events.map(({ involvedObject, count }) => [involvedObject.name, count]).toSorted()).toEqual(
      builds.map(({ name }) => [name, 1]).toSorted(),
    )
  })

  it('says that all nodes are repelled', async () => {
    const { arch, system } = takeArch()
    await world.addNode({ arch, labels: { 'example.com/pool': 'web' } })
    const build = await world.addBuild(namespace, { system })
    await waitForBuild(build, { status: pending('NoNode', expect.stringContaining('--node-repel')) })
  })

  it('moves to another node if its own is removed during the build, and keeps the history', async () => {
    const { arch, system } = takeArch()
    const node = await world.addNode({ arch })
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    await world.report(node, build, { state: 'Building', startTime: '2026-01-01T00:00:00Z' })
    await waitForBuild(build, { status: { status: 'Building', buildNode: node } })
    const other = await world.addNode({ arch })
    await world.removeNode(node)
    const reason = `node ${node} is gone`
    await waitForBuild(build, {
      status: { ...pending('GivenToNode', expect.stringContaining(reason)), attempts: [{ node, reason }] },
    })
    await waitForNode(build, other)
    const { buildNode, startTime } = (await world.build(build))?.status ?? {}
    expect({ buildNode, startTime }).toEqual({})
    await world.report(other, build, { state: 'Building' })
    await waitForBuild(build, { status: { status: 'Building', buildNode: other } })
    await world.setReady(other, 'Unknown')
    await waitForBuild(build, {
      status: {
        status: 'Failed',
        completionTime: expect.any(String),
        attempts: [{ node }, { node: other, reason: `node ${other} is not ready` }],
        conditions: [
          { type: 'Complete', status: 'True', reason: 'BuildFinished' },
          {
            type: 'Success',
            status: 'False',
            reason: 'ResultFailure',
            message: expect.stringMatching(/^given up after 2 attempts: .* is gone; .* is not ready$/),
          },
        ],
      },
    })
    await vi.waitFor(async () => {
      const events = (await world.events(namespace)).map(({ type, reason, message }) => `${type} ${reason} ${message}`)
      // There may also be an event NoNode, if one node is removed before the other is known.
      expect(events.filter(event => !event.startsWith('Warning NoNode ')).toSorted()).toEqual([
        `Normal GivenToAnotherNode Assigned to node ${other}: ${reason}`,
        expect.stringMatching(/^Warning Failed given up after 2 attempts/),
      ])
    }, PATIENT)
  })

  it('moves to another node if the shim of its own does not renew its Lease', async () => {
    const { arch, system } = takeArch()
    const node = await world.addNode({ arch, withoutShim: true })
    const shim = startRenewing(node)
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    const other = await world.addNode({ arch })
    await shim.stop()
    const reason = `the shim of node ${node} does not renew its Lease`
    await waitForBuild(build, { status: { attempts: [{ node, reason }] } })
    await waitForNode(build, other)
  })

  it('waits while the only shim does not renew its Lease, and is assigned when it does', async () => {
    const { arch, system } = takeArch()
    const node = await world.addNode({ arch, withoutShim: true })
    const shim = startRenewing(node)
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    await shim.stop()
    await waitForBuild(build, {
      status: pending('NoNode', expect.stringContaining('1 with a shim that does not renew its Lease')),
    })
    const back = startRenewing(node)
    onTestFinished(back.stop)
    await waitForNode(build, node)
  })

  it('stays with its node while the shim renews its Lease by a clock that is behind', async () => {
    const { arch, system } = takeArch()
    const node = await world.addNode({ arch, withoutShim: true })
    const shim = startRenewing(node, -60_000)
    onTestFinished(shim.stop)
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    await world.addNode({ arch })
    const begin = Date.now()
    const longEnough = 2 * LEASE_SECONDS * 1000
    await vi.waitFor(() => expect(Date.now() - begin).toBeGreaterThan(longEnough), PATIENT)
    expect(await world.build(build)).toMatchObject({ status: { attempts: [] } })
    expect(await world.assignedNode(build)).toBe(node)
  })

  it('fails immediately if its recipe is invalid', async () => {
    const build = await world.addBuild(namespace, { flakeUrl: 'github:team/app?nonsense=1' })
    await waitForBuild(build, {
      status: { status: 'Failed', conditions: [{}, { message: expect.stringContaining('its query has "nonsense"') }] },
    })
  })
})

describe('a NixBuild made by hand that is assigned', () => {
  const { arch, system } = takeArch()
  let node: string
  beforeAll(async () => {
    node = await world.addNode({ arch })
  })

  it('is taken from its node once it has been built', async () => {
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    const startTime = '2026-01-01T00:00:00Z'
    await world.report(node, build, { state: 'Building', startTime, buildJobName: 'run-1', progress: '1 of 7' })
    await waitForBuild(build, { status: { status: 'Building', buildNode: node, progress: '1 of 7', startTime } })
    const image = { imageDigest: 'sha256:1', imageSize: 5_000_000, storePath: '/nix/store/x', lockedFlakeUrl: 'x' }
    await world.report(node, build, { state: 'Present', startTime, buildJobName: 'run-1', ...image })
    await waitForBuild(build, {
      status: {
        ...{ status: 'Succeeded', buildNode: node, buildJobName: 'run-1', startTime, ...image },
        completionTime: expect.any(String),
        progress: expect.stringMatching(/^loaded in .*, 5.0 MB$/),
        ready: { count: 1, nodes: [node] },
        conditions: [{ status: 'True' }, { type: 'Success', status: 'True', message: 'Image loaded as sha256:1' }],
      },
    })
    await vi.waitFor(async () => expect(await world.assignedNode(build)).toBeUndefined(), PATIENT)
  })

  it('is taken from its node when it is deleted', async () => {
    const build = await world.addBuild(namespace, { system })
    await waitForNode(build, node)
    await world.cluster.kubectl(['delete', 'nixbuild', build.name, `--namespace=${namespace}`])
    await vi.waitFor(async () => expect(await world.assignedNode(build)).toBeUndefined(), PATIENT)
  })
})

describe('a NixBuild that has succeeded', () => {
  it('no longer names a node as building whose shim does not renew its Lease', async () => {
    const [ready, node] = [await world.addNode(), await world.addNode({ withoutShim: true })]
    const shim = startRenewing(node)
    for (const each of [ready, node]) await world.addPod(namespace, each)
    const build = await vi.waitFor(async () => {
      const names = (await world.builds(namespace)).map(({ metadata: { name } }) => name)
      expect(names).toHaveLength(1)
      return { namespace, name: names.join() }
    }, PATIENT)
    await world.report(ready, build, { state: 'Present', imageDigest: 'sha256:1' })
    await world.report(node, build, { state: 'Building' })
    await waitForBuild(build, { status: { status: 'Succeeded', building: { count: 1, nodes: [node] } } })
    await shim.stop()
    await vi.waitFor(async () => expect((await world.build(build))?.status.building?.count ?? 0).toBe(0), PATIENT)
  })
})
