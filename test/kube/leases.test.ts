import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { beforeAll, expect, test } from 'vitest'
import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { heartbeat } from '../../kube/heartbeat.ts'
import { leaderElection } from '../../kube/leader-election.ts'
import { leases } from '../../kube/resources/lease.ts'
import { RetryableError } from '../../lib/errors.ts'
import type { OwnCluster } from '../cluster/cluster.ts'
import { PATIENT } from '../patience.ts'
import { startApiServer } from './own-api-server.ts'

const TIMING = { leaseMs: 2_000, renewWithinMs: 1_300, retryMs: 200 }
const namespace = 'default'
let cluster: OwnCluster
let kube: Kube

beforeAll(async () => {
  const started = await startApiServer()
  cluster = started.cluster
  kube = started.kube
  return started.end
})

test('a heartbeat creates its Lease, renews it, and creates it again after a deletion', async () => {
  await using beat = begin(heart())
  const { name } = beat
  await expect.poll(() => read(name), PATIENT).toBeDefined()
  const first = await read(name)
  expect(first?.spec).toMatchObject({ holderIdentity: 'node-1', leaseDurationSeconds: 1 })
  expect(Date.parse(first?.spec.renewTime ?? '') + 1_000).toBeGreaterThan(
    Date.parse(first?.metadata.creationTimestamp ?? ''),
  )
  await expect.poll(async () => (await read(name))?.spec.renewTime, PATIENT).not.toBe(first?.spec.renewTime)
  expect((await read(name))?.metadata.uid).toBe(first?.metadata.uid)
  await kube.delete(leases, { namespace, name })
  await expect.poll(async () => (await read(name))?.metadata.uid, PATIENT).not.toBe(first?.metadata.uid)
})

test('a heartbeat continues after the API server was away, and ends with its signal', async () => {
  const beat = begin(heart())
  const { name } = beat
  await expect.poll(() => read(name), PATIENT).toBeDefined()
  await cluster.controlPlane.apiServer.kill()
  await expect.poll(() => beat.logged.join(), PATIENT).toContain('cannot renew the lease')
  await cluster.controlPlane.apiServer.start()
  await expect.poll(() => beat.logged.join(), PATIENT).toContain('renewed again')
  await beat[Symbol.asyncDispose]()
})

test('a heartbeat that has failed once does not wait as long as after a success', async () => {
  let failures = 0
  const flaky: Kube = {
    ...kube,
    patch(...call) {
      failures += 1
      return failures > 2 ? kube.patch(...call) : Promise.reject(new RetryableError('ClusterAway', 'away'))
    },
  }
  await using beat = begin(heart({ kube: flaky, durationMs: 3_600_000 }))
  await expect.poll(() => read(beat.name), PATIENT).toBeDefined()
})

test('one of two candidates leads, and the other takes over when it ends', async () => {
  const name = randomUUID()
  const one = begin(candidate('one', { leaseMs: 3_600_000 }), name)
  await expect.poll(one.isLeading, PATIENT).toBe(true)
  await using two = begin(candidate('two', { leaseMs: 3_600_000 }), name)
  await expect.poll(() => two.logged.join(), PATIENT).toContain('another replica leads')
  expect(two.isLeading()).toBe(false)
  expect((await read(name))?.spec).toMatchObject({ holderIdentity: 'one', leaseTransitions: 0 })
  await one[Symbol.asyncDispose]()
  await expect.poll(two.isLeading, PATIENT).toBe(true)
  expect(one.isLeading()).toBe(false)
  expect((await read(name))?.spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 })
})

test('a leader that cannot renew is replaced once its Lease has expired, not before', async () => {
  const name = randomUUID()
  const dead = createKube({ kubeconfig: cluster.adminKubeconfig })
  const one = begin(candidate('one', { kube: dead }), name)
  await expect.poll(one.isLeading, PATIENT).toBe(true)
  await using two = begin(candidate('two'), name)
  await expect.poll(() => two.logged.join(), PATIENT).toContain('another replica leads')
  await dead.close()
  // It cannot renew any more, and stops before another starts.
  await expect.poll(one.isLeading, PATIENT).toBe(false)
  expect(two.isLeading()).toBe(false)
  await expect.poll(two.isLeading, PATIENT).toBe(true)
  expect(one.isLeading()).toBe(false)
  await one[Symbol.asyncDispose]()
})

test('a leader whose Lease was taken stops and waits for it again', async () => {
  await using one = begin(candidate('one'))
  const { name } = one
  await expect.poll(one.isLeading, PATIENT).toBe(true)
  const spec = { holderIdentity: 'thief', leaseDurationSeconds: 1, renewTime: '2026-01-01T00:00:00.000000Z' }
  await kube.patch(leases, { namespace, name, body: { spec } }, { type: 'merge', fieldManager: 'test' })
  await expect.poll(one.isLeading, PATIENT).toBe(false)
  await expect.poll(one.isLeading, PATIENT).toBe(true)
  expect(one.starts()).toBe(2)
})

test('a leader whose Lease is deleted creates it again and keeps leading', async () => {
  const name = randomUUID()
  await using one = begin(candidate('one'), name)
  await expect.poll(one.isLeading, PATIENT).toBe(true)
  const uid = (await read(name))?.metadata.uid
  await kube.delete(leases, { namespace, name, ...(uid !== undefined && { uid }) })
  await expect.poll(async () => (await read(name))?.metadata.uid ?? uid, PATIENT).not.toBe(uid)
  expect((await read(name))?.spec.holderIdentity).toBe('one')
  expect(one.starts()).toBe(1)
})

test('work that ends by itself ends the election and releases the Lease', async () => {
  const name = randomUUID()
  const work = async () => {
    throw new Error('out of work')
  }
  const one = begin(({ logger, signal }) =>
    leaderElection({ kube, lease: { namespace, name }, identity: 'one', work: work, logger, signal, ...TIMING }),
  )
  await expect(one.ended).rejects.toThrow('out of work')
  expect((await read(name))?.spec.holderIdentity).toBe('')
})

interface Running {
  readonly name: string
  readonly signal: AbortSignal
  readonly logger: pino.Logger
  readonly work: (signal: AbortSignal) => Promise<void>
}

function heart(plan: { kube?: Kube; durationMs?: number } = {}) {
  return ({ name, signal, logger }: Running) =>
    heartbeat({
      kube,
      lease: { namespace, name },
      identity: 'node-1',
      fieldManager: 'node-1',
      durationMs: 1_000,
      signal,
      logger,
      ...plan,
    })
}

function candidate(identity: string, plan: { kube?: Kube; leaseMs?: number } = {}) {
  return ({ name, signal, logger, work }: Running) =>
    leaderElection({ kube, lease: { namespace, name }, identity, work: work, signal, logger, ...TIMING, ...plan })
}

function begin(run: (running: Running) => Promise<void>, name: string = randomUUID()) {
  const ending = new AbortController()
  const logged: string[] = []
  const logger = pino({}, { write: line => logged.push(line) })
  let leading = 0
  let starts = 0
  const work = async (signal: AbortSignal) => {
    starts += 1
    leading += 1
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
    leading -= 1
  }
  const ended = run({ name, signal: ending.signal, logger, work })
  ended.catch(() => {})
  return {
    name,
    logged,
    ended,
    isLeading: () => leading > 0,
    starts: () => starts,
    async [Symbol.asyncDispose]() {
      ending.abort()
      await ended
    },
  }
}

function read(name: string) {
  return kube.get(leases, { namespace, name })
}
