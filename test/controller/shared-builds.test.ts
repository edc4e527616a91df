import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { keepClaims } from '../../controller/claims/keep-claims.ts'
import { createNodeBuilds } from '../../controller/state/node-builds.ts'
import type { ObjectName } from '../../kube/client/contract.ts'
import { claimLeases } from '../../kube/resources/claim-lease.ts'
import { leases } from '../../kube/resources/lease.ts'
import { CLAIM_LABEL, CLAIMS_NAMESPACE, CONTROLLER, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { firstBuild } from './first-build.ts'
import { ANNOTATIONS, pending, someEntry } from './views.ts'
import { startWorld, type World } from './world.ts'

let world: World
let controller: Controller
let namespace: string

beforeAll(async () => {
  world = await startWorld()
  controller = await startController()
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  namespace = await world.createNamespace()
})

// A node that builds nothing has no need of the grace time.
const startController = () => world.cluster.startController({ flags: ['--builder-grace=1h', '--lost-grace=500ms'] })

const waitForBuild = (build: ObjectName, expected: object) =>
  vi.waitFor(async () => expect(await world.build(build)).toMatchObject(expected), PATIENT)

const waitForNode = (build: ObjectName, node: string | undefined) =>
  vi.waitFor(async () => expect(await world.assignedNode(build)).toBe(node), PATIENT)

describe('a node that builds nothing', () => {
  it('gets no NixBuild, and its pods’ are built on another node', async () => {
    const arch = 'arm64'
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-system': 'aarch64-linux' }
    const node = await world.addNode({ arch, fetchOnly: true })
    await world.addPod(namespace, node, { annotations })
    const build = await firstBuild(world, namespace)
    const waits = { state: 'Building', progress: 'evaluating' } as const
    await world.report(node, build, waits)
    const byHand = await world.addBuild(namespace, { system: 'aarch64-linux', imageTag: 'other:1' })
    const reason = expect.stringContaining('of 1 node for aarch64-linux: 1 with nix.build: never')
    for (const each of [build, byHand]) await waitForBuild(each, { status: pending('NoNode', reason) })

    const builder = await world.addNode({ arch })
    for (const each of [build, byHand]) await waitForNode(each, builder)
    await world.report(node, build, { state: 'Queued', progress: `waiting for ${builder}` })
    await world.report(builder, build, { state: 'Building' })
    await waitForBuild(build, { status: { status: 'Building', buildNode: builder } })
    await world.report(builder, build, { state: 'Present', imageDigest: 'sha256:1' })
    await world.report(node, build, { state: 'Present', imageDigest: 'sha256:1' })
    await waitForBuild(build, { status: { status: 'Succeeded', buildNode: builder, ready: { count: 2 } } })
    await waitForNode(build, undefined)
  })

  it('has its image built again if it is gone everywhere', async () => {
    const arch = 'riscv64'
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-system': 'riscv64-linux' }
    const builder = await world.addNode({ arch })
    const pod = await world.addPod(namespace, builder, { annotations })
    const build = await firstBuild(world, namespace)
    await world.report(builder, build, { state: 'Present', imageDigest: 'sha256:1' })
    await waitForBuild(build, { status: { status: 'Succeeded', buildNode: builder } })
    await world.forget(builder, build)
    await world.cluster.kubectl(['delete', 'pod', pod.name, `--namespace=${namespace}`, '--force', '--wait=false'])
    await world.addPod(namespace, await world.addNode({ arch, fetchOnly: true }), { annotations })
    await waitForNode(build, builder)
    await waitForBuild(build, { status: { status: 'Pending' } })
    await world.report(builder, build, { state: 'Present', imageDigest: 'sha256:1' })
    await waitForBuild(build, { status: { status: 'Succeeded', buildNode: builder } })
  })

  it('loses a NixBuild that it had before', async () => {
    const system = 'ppc64le'
    const node = await world.addNode({ arch: system })
    const build = await world.addBuild(namespace, { system: 'powerpc64le-linux' })
    await waitForNode(build, node)
    await world.setFetchOnly(node)
    const other = await world.addNode({ arch: system })
    await waitForNode(build, other)
    await waitForBuild(build, { status: { attempts: [{ node, reason: expect.stringContaining('nix.build: never') }] } })
  })
})

describe('a NixBuild that selects nodes that build nothing', () => {
  const nodes = { matchLabels: { fetches: 'yes' } }

  it('stays on the node that builds it when another controller takes over', async () => {
    const arch = 's390x'
    const fetching: string[] = []
    for (let count = 0; count < 4; count += 1)
      fetching.push(await world.addNode({ arch, fetchOnly: true, labels: { fetches: 'yes' } }))
    const builder = await world.addNode({ arch })
    const build = await world.addBuild(namespace, { system: 's390x-linux', nodes })
    const waitForNodes = (names: readonly string[]) =>
      vi.waitFor(async () => {
        expect((await world.assignedNode(build))?.split(',').toSorted()).toEqual([...names].sort())
      }, PATIENT)
    const generation = async () => (await world.nixNode(builder))?.metadata.generation ?? 0
    await waitForNodes([...fetching, builder])
    await world.report(builder, build, { state: 'Building' })
    await waitForBuild(build, { status: { status: 'Building', buildNode: builder } })
    const before = await generation()
    await controller[Symbol.asyncDispose]()
    controller = await startController()
    const other = await world.addBuild(namespace, { system: 's390x-linux', imageTag: 'other:1', nodes })
    await vi.waitFor(async () => expect(await world.assignedNode(other)).toContain(builder), PATIENT)
    expect(await generation()).toBe(before + 1)
    await world.report(builder, build, { state: 'Present', imageDigest: 'sha256:1' })
    await waitForNodes(fetching)
    await waitForBuild(build, { status: { status: 'Succeeded', buildNode: builder } })
    expect((await world.build(build))?.status.attempts).toEqual([])
  })
})

describe('the claims of nodes', () => {
  const path = (letter: string) => `path-${letter.repeat(32)}`

  async function addLease(name: string, kind: string | undefined, holder: string | null): Promise<void> {
    const metadata = { labels: kind === undefined ? {} : { [CLAIM_LABEL]: kind } }
    const body = { metadata, spec: { holderIdentity: holder, leaseDurationSeconds: 30 } }
    await world.kube.create(leases, { namespace: CLAIMS_NAMESPACE, name, body })
  }

  async function names(): Promise<string[]> {
    const found: string[] = []
    await world.kube.list(leases, { namespace: CLAIMS_NAMESPACE }, ({ metadata }) => found.push(metadata.name))
    return found.sort()
  }

  it('are removed when nobody needs them, and not before, and made for paths that nodes have without one', async () => {
    await addLease(path('a'), 'path', 'worker-1')
    await addLease(path('b'), 'path', null)
    await addLease(path('c'), 'path', null)
    await addLease('slot-worker-1-1', 'slot', null)
    await addLease('other', undefined, null)
    const nodeBuilds = createNodeBuilds()
    const storePath = `/nix/store/${'b'.repeat(32)}-app`
    nodeBuilds.put('worker-1', [someEntry('worker-1', { state: 'Present', storePath })])
    const unclaimed = `/nix/store/${'d'.repeat(32)}-app`
    nodeBuilds.put('worker-2', [someEntry('worker-2', { state: 'Present', storePath: unclaimed })])
    const token = await world.cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: CONTROLLER })
    const stop = new AbortController()
    let looks = 0
    const keeping = keepClaims({
      kube: world.cluster.client(await world.cluster.kubeconfig({ token })),
      nodeBuilds,
      nixNodes: new Map([['worker-2', { name: 'worker-2', serves: true }]]),
      signal: stop.signal,
      logger: pino({ level: 'silent' }),
      intervalMs: 10,
      now() {
        looks += 1
        return Math.min(looks, 30) * 60_000
      },
    })
    await expect.poll(() => looks, PATIENT).toBeGreaterThan(32)
    stop.abort()
    await keeping
    expect(await names()).toEqual([path('a'), path('b'), path('d'), 'other'].toSorted())
    const made = await world.kube.get(claimLeases, { namespace: CLAIMS_NAMESPACE, name: path('d') })
    expect(made).toMatchObject({ holder: '', nodes: ['worker-2'] })
  })
})
