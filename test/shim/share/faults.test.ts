import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKube } from '../../../kube/client/client.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { claimLeases, claimPatch, slotName } from '../../../kube/resources/claim-lease.ts'
import { leases } from '../../../kube/resources/lease.ts'
import { CLAIMS_NAMESPACE } from '../../../kube/resources/names.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { writeKubeconfig } from '../../cluster/access.ts'
import { startCountingProxy } from '../../controller/counting-proxy.ts'
import { PATIENT } from '../../patience.ts'
import { find, mustClaim, nameOf, useNodes } from './nodes.ts'
import { somePath } from './paths.ts'

let nodes: Awaited<ReturnType<typeof useNodes>>
beforeAll(async () => {
  nodes = await useNodes()
})
afterAll(() => nodes?.[Symbol.asyncDispose]())

const never = () => new AbortController().signal
const CANCELLED = expect.objectContaining({ code: 'Cancelled' })

describe('a run that is cancelled', () => {
  test('while it builds releases its claim, and renews it no more', async () => {
    const path = somePath()
    const node = await nodes.add()
    const run = new AbortController()
    const claim = await mustClaim(node, path, run)
    run.abort()
    await expect.poll(async () => (await nodes.leaseOf(path))?.holder, PATIENT).toBe('')
    await expectNoMoreRequests(node.requests)
    claim.progress({ phase: 'building', done: 1, expected: 2 })
    await claim.end()
    expect((await nodes.leaseOf(path))?.nodes).toEqual([])
    await node.sharing.close(60_000)
  })

  test('while it claims leaves no claim', async () => {
    const path = somePath()
    const run = new AbortController()
    const kube: Kube = {
      ...nodes.kube,
      // The API server has created the Lease, but the run is gone when it says so.
      async create(kind, object, options) {
        const created = await nodes.kube.create(kind, object, options)
        run.abort()
        return created
      },
    }
    const node = await nodes.add({ kube })
    await expect(node.sharing.claim(path, run.signal)).rejects.toThrow(CANCELLED)
    await expect.poll(async () => (await nodes.leaseOf(path))?.holder, PATIENT).toBe('')
    await expect(node.sharing.claim(path, run.signal)).rejects.toThrow(CANCELLED)
    await node.sharing.close(60_000)
    await (await mustClaim(node, path)).end()
  })

  test('while it waits for another node stops to watch', async () => {
    const path = somePath()
    await nodes.claimFor(path, { holder: 'other', durationMs: 60_000 })
    const node = await nodes.add()
    const finding = find(node, path)
    const second = find(node, path)
    await expect.poll(() => second.progress, PATIENT).not.toEqual([])
    second.cancel()
    await expect(second.source).rejects.toThrow(CANCELLED)
    finding.cancel()
    await expect(finding.source).rejects.toThrow(CANCELLED)
    await node.sharing.close(60_000)
    await expectNoMoreRequests(node.requests)
  })

  test('while it copies, or waits for a slot, leaves the slots to others', async () => {
    const path = somePath()
    const builder = await nodes.add({ store: { address: 'http://10.0.0.5:5000', maxServed: 1 } })
    await (await mustClaim(builder, path)).end()
    const [copying, waiting, last] = await Promise.all([nodes.add(), nodes.add(), nodes.add()])
    const first = find(copying, path)
    await first.copy()
    const second = find(waiting, path)
    await expect.poll(() => waiting.requests.length, PATIENT).toBeGreaterThan(3)
    second.cancel()
    await expect(second.source).rejects.toThrow(CANCELLED)
    const third = find(last, path)
    first.cancel()
    expect((await third.copy()).node).toBe(builder.name)
    await expectNoMoreRequests(waiting.requests)
    await (await third.copy()).end(true)
    const slot = await nodes.kube.get(claimLeases, { namespace: CLAIMS_NAMESPACE, name: slotName(builder.name, 0) })
    expect(slot?.holder).toBe('')
    await expectNoMoreRequests(last.requests)
  })
})

describe('without an API server', () => {
  test('a node claims without asking again, and builds', async () => {
    const kube = createKube({ kubeconfig: await kubeconfigOf('https://127.0.0.1:1') })
    const node = await nodes.add({ kube, serves: false })
    const path = somePath()
    const claim = await mustClaim(node, path)
    const second = find(node, path)
    await claim.end()
    await (await second.claim()).end()
    await (await find(node, somePath()).claim()).end()
    await kube.close()
  })

  test('a node that waits builds after the claim of the other node has expired', async () => {
    await using proxy = await startCountingProxy(nodes.cluster.access.server)
    const kube = createKube({ kubeconfig: await kubeconfigOf(proxy.url) })
    const path = somePath()
    const [holder, node] = await Promise.all([nodes.add(), nodes.add({ kube, serves: false })])
    const claim = await mustClaim(holder, path)
    const finding = find(node, path)
    await expect.poll(() => finding.progress, PATIENT).not.toEqual([])
    proxy.cut()
    await (await finding.claim()).end()
    await claim.end()
    await kube.close()
  })

  test('a node loses its claim after that time, but continues to build, and others copy what it has built', async () => {
    await using proxy = await startCountingProxy(nodes.cluster.access.server)
    const kube = createKube({ kubeconfig: await kubeconfigOf(proxy.url) })
    const path = somePath()
    const [holder, node] = await Promise.all([nodes.add({ kube }), nodes.add()])
    const claim = await mustClaim(holder, path)
    proxy.cut()
    const other = await find(node, path).claim()
    const waiting = find(await nodes.add(), path)
    await expect.poll(() => waiting.progress, PATIENT).not.toEqual([])
    proxy.reconnect()
    await claim.end()
    expect(await nodes.leaseOf(path)).toMatchObject({ holder: node.name, nodes: [holder.name] })
    expect((await waiting.copy()).node).toBe(holder.name)
    waiting.cancel()
    await other.end()
    expect((await nodes.leaseOf(path))?.nodes).toEqual([holder.name, node.name])
    await kube.close()
  })

  test('a node continues to wait when the API server comes back', async () => {
    await using proxy = await startCountingProxy(nodes.cluster.access.server)
    const kube = createKube({ kubeconfig: await kubeconfigOf(proxy.url) })
    const path = somePath()
    const times = { leaseMs: 60_000 }
    const [holder, node] = await Promise.all([nodes.add({ times }), nodes.add({ kube, times, serves: false })])
    const claim = await mustClaim(holder, path)
    const finding = find(node, path)
    await expect.poll(() => finding.progress, PATIENT).not.toEqual([])
    proxy.cut()
    await claim.end()
    proxy.reconnect()
    expect((await finding.copy()).node).toBe(holder.name)
    finding.cancel()
    await node.sharing.close(60_000)
    await kube.close()
  })
})

test('a hundred waiting runs of a node leave connections to other requests, and all hear of the end', async () => {
  const paths = Array.from({ length: 100 }, somePath)
  await Promise.all(paths.map(path => nodes.claimFor(path, { holder: 'other', durationMs: 60_000 })))
  const kube = createKube({ kubeconfig: nodes.cluster.adminKubeconfig })
  const node = await nodes.add({ kube, serves: false })
  const finding = paths.map(path => find(node, path))
  await expect.poll(() => finding.every(({ progress }) => progress.length > 0), PATIENT).toBe(true)
  await Promise.all(paths.map(path => kube.get(leases, nameOf(path))))
  const released = { spec: { holderIdentity: '' } }
  const patch = { type: 'merge', fieldManager: 'test' } as const
  await Promise.all(paths.map(path => nodes.kube.patch(leases, { ...nameOf(path), body: released }, patch)))
  for (const each of finding) await (await each.claim()).end()
  await kube.close()
})

test('a node that others cannot copy from, and that pushes nowhere, claims only for itself', async () => {
  const path = somePath()
  const node = await nodes.add({ serves: false })
  await (await mustClaim(node, path)).end()
  await (await find(node, path).claim()).end()
  expect(await nodes.leaseOf(path)).toBeUndefined()
})

test('a release that the API server does not answer is tried again', async () => {
  const path = somePath()
  let isAway = false
  const kube: Kube = {
    ...nodes.kube,
    async patch(...call) {
      if (isAway) throw new RetryableError('ClusterAway', 'no answer')
      return nodes.kube.patch(...call)
    },
  }
  // No other node takes the claim over meanwhile.
  const node = await nodes.add({ kube, times: { leaseMs: 60_000 } })
  const claim = await mustClaim(node, path)
  isAway = true
  await claim.end()
  expect((await nodes.leaseOf(path))?.holder).toBe(node.name)
  isAway = false
  await expect.poll(() => nodes.leaseOf(path), PATIENT).toMatchObject({ holder: '', nodes: [node.name] })
})

test('a node has no more slots than copies at the same time', async () => {
  const paths = Array.from({ length: 5 }, somePath)
  const builder = await nodes.add({ store: { address: 'http://10.0.0.5:5000', maxServed: 64 } })
  for (const path of paths) await (await mustClaim(builder, path)).end()
  const node = await nodes.add()
  const finding = paths.map(path => find(node, path))
  const copying = () => finding.filter(({ isOver }) => isOver())
  await expect.poll(() => copying().length, PATIENT).toBe(4)
  const [first] = copying()
  await (await first?.copy())?.end(true)
  for (const each of finding) await (await each.copy()).end(true)
})

test('a node takes over the claim of a lost holder although its watch hangs', async () => {
  const path = somePath()
  const lease = await nodes.claimFor(path, { holder: 'other', durationMs: 2_000 })
  const kube: Kube = {
    ...nodes.kube,
    async *watch(kind, options) {
      for await (const event of nodes.kube.watch(kind, options)) if (event.type === 'BOOKMARK') yield event
    },
  }
  const node = await nodes.add({ kube })
  const finding = find(node, path)
  await expect.poll(() => finding.progress, PATIENT).not.toEqual([])
  const body = claimPatch(lease.resourceVersion, { holder: 'other', durationMs: 2_000 })
  await nodes.kube.patch(leases, { ...nameOf(path), body }, { type: 'merge', fieldManager: 'test' })
  await (await finding.claim()).end()
})

test('a slot whose node is lost is taken again', async () => {
  const path = somePath()
  const builder = await nodes.add({ store: { address: 'http://10.0.0.5:5000', maxServed: 1 } })
  await (await mustClaim(builder, path)).end()
  const slot = { namespace: CLAIMS_NAMESPACE, name: slotName(builder.name, 0) }
  const spec = { holderIdentity: 'lost', leaseDurationSeconds: 1 }
  await nodes.kube.create(leases, { ...slot, body: { spec } })
  const node = await nodes.add()
  await (await find(node, path).copy()).end(true)
})

test('a node copies without a slot if another one holds them all indefinitely', async () => {
  const path = somePath()
  const builder = await nodes.add({ store: { address: 'http://10.0.0.5:5000', maxServed: 1 } })
  await (await mustClaim(builder, path)).end()
  const hoarder = await nodes.add()
  await find(hoarder, path).copy()
  const node = await nodes.add({ times: { slotlessMs: 1_000 } })
  const from = await find(node, path).copy()
  expect(from.node).toBe(builder.name)
  await from.end(true)
})

test('a claim that cannot be written because of a quota or missing rights is known to its node alone', async () => {
  const path = somePath()
  const token = await nodes.cluster.createToken({ namespace: 'enbi-system', serviceAccount: 'enbi-shim' })
  const kube = nodes.cluster.client(await nodes.cluster.kubeconfig({ token }))
  const node = await nodes.add({ kube, serves: false })
  await (await mustClaim(node, path)).end()
  await (await find(node, path).claim()).end()
  expect(await nodes.leaseOf(path)).toBeUndefined()
  expect(await find(await nodes.add(), path).claim()).toBeDefined()
  await expect(node.sharing.claim(path, AbortSignal.abort())).rejects.toThrow(CANCELLED)
  expect(await node.sharing.claim(path, never())).toBeUndefined()
})

function kubeconfigOf(server: string): Promise<string> {
  return writeKubeconfig({ ...nodes.cluster.access, server })
}

/** Longer than the time between two renewals, or two looks. */
async function expectNoMoreRequests(requests: readonly string[]): Promise<void> {
  const before = requests.length
  const other = somePath()
  // Another node's Lease is renewed a few times meanwhile.
  const node = await nodes.add()
  const claim = await mustClaim(node, other)
  const renewals = () => node.requests.filter(request => request === 'patch leases').length
  await expect.poll(renewals, PATIENT).toBeGreaterThan(3)
  await claim.end()
  expect(requests).toHaveLength(before)
}
