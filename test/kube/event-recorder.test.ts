import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import * as v from 'valibot'
import { beforeAll, expect, test } from 'vitest'
import type { Kube } from '../../kube/client/contract.ts'
import { createEventRecorder } from '../../kube/event-recorder.ts'
import { type EventContent, events } from '../../kube/resources/event.ts'
import { FinalError, RetryableError } from '../../lib/errors.ts'
import type { OwnCluster } from '../cluster/cluster.ts'
import { PATIENT } from '../patience.ts'
import { configMaps } from './config-maps.ts'
import { startApiServer } from './own-api-server.ts'

const namespace = 'default'
const allOfIt = { ...events, parse: (object: unknown) => v.parse(v.record(v.string(), v.unknown()), object) }
let cluster: OwnCluster
let kube: Kube

beforeAll(async () => {
  const started = await startApiServer()
  cluster = started.cluster
  kube = started.kube
  return started.end
})

test('kubectl describe shows an event with its source', async () => {
  await using bed = begin()
  const content = await about({ reason: 'ImageBuilt', message: 'in 12 s' })
  bed.recorder.record(content)
  await bed.recorder.flushed()
  expect(await eventsAbout(content)).toMatchObject([
    {
      reason: 'ImageBuilt',
      message: 'in 12 s',
      type: 'Normal',
      count: 1,
      source: { component: 'test', host: 'node-1' },
      reportingComponent: 'test',
      involvedObject: { ...content.about },
    },
  ])
  const description = await cluster.kubectl(['describe', 'configmap', content.about.name])
  expect(description).toMatch(/Normal +ImageBuilt +\S+ +test +in 12 s/)
})

test('a repeated event is counted by one write each time', async () => {
  await using bed = begin()
  const content = await about()
  for (let times = 0; times < 4; times += 1) bed.recorder.record(content)
  await bed.recorder.flushed()
  expect(await eventsAbout(content)).toMatchObject([{ count: 4 }])
  expect(bed.writes()).toBe(4)
})

test('the count of an event continues after a restart', async () => {
  const content = await about()
  for (let starts = 0; starts < 3; starts += 1) {
    await using bed = begin()
    bed.recorder.record(content)
    bed.recorder.record(content)
    await bed.recorder.flushed()
  }
  expect(await eventsAbout(content)).toMatchObject([{ count: 6 }])
})

test('the count starts over if the API server has dropped the event', async () => {
  await using bed = begin()
  const content = await about()
  bed.recorder.record(content)
  bed.recorder.record(content)
  await bed.recorder.flushed()
  await cluster.kubectl(['delete', 'events', `--field-selector=involvedObject.name=${content.about.name}`])
  bed.recorder.record(content)
  await bed.recorder.flushed()
  expect(await eventsAbout(content)).toMatchObject([{ count: 1 }])
})

test('events recorded while the API server is away are written later, in order and with their times', async () => {
  await using bed = begin()
  const first = await about({ message: 'one' })
  await cluster.controlPlane.apiServer.kill()
  const before = Date.now()
  bed.recorder.record(first)
  bed.recorder.record({ ...first, message: 'two' })
  await expect.poll(bed.writes, PATIENT).toBeGreaterThan(1)
  await cluster.controlPlane.apiServer.start()
  const started = Date.now()
  await bed.recorder.flushed()
  const written = await eventsAbout(first)
  expect(written.map(event => event.message).sort()).toEqual(['one', 'two'])
  for (const event of written) {
    const time = Date.parse(String(event.lastTimestamp))
    expect(time).toBeGreaterThan(before - 1_001)
    expect(time).toBeLessThan(started)
  }
})

test('an event that the API server refuses right after a restart is retried', async () => {
  const refusals = Array.from({ length: 7 }, () => new FinalError('ClusterRefused', 'not yet'))
  const failures = [undefined, new RetryableError('ClusterAway', 'away'), ...refusals]
  await using bed = begin({
    async create(...args) {
      const failure = failures.shift()
      if (failure) throw failure
      return kube.create(...args)
    },
    patch: kube.patch,
  })
  const content = await about()
  for (const message of ['before', 'afterwards']) bed.recorder.record({ ...content, message })
  await bed.recorder.flushed()
  expect(failures).toEqual([])
  expect((await eventsAbout(content)).map(({ message }) => message).sort()).toEqual(['afterwards', 'before'])
})

test('a refused event is dropped and logged, and the next one is written', async () => {
  await using bed = begin()
  const content = await about()
  bed.recorder.record({ ...content, about: { ...content.about, namespace: 'no-such-namespace' } })
  bed.recorder.record(content)
  await bed.recorder.flushed()
  expect(bed.logged.join()).toContain('cannot write an event')
  expect(await eventsAbout(content)).toHaveLength(1)
})

test.each([
  ['is being deleted', async () => terminatingNamespace()],
  ['is gone', async () => `gone-${randomUUID()}`],
])('an event of a namespace that %s is tried only once and does not delay others', async (_name, makeNamespace) => {
  await using bed = begin()
  const content = await about()
  bed.recorder.record({ ...content, about: { ...content.about, namespace: await makeNamespace() } })
  bed.recorder.record(content)
  await bed.recorder.flushed()
  expect(bed.writes()).toBe(2)
  expect(await eventsAbout(content)).toHaveLength(1)
})

test('events of a namespace with an exhausted quota do not delay others', async () => {
  await using bed = begin()
  const content = await about()
  const full = `full-${randomUUID()}`
  await cluster.kubectl(['create', 'namespace', full])
  await cluster.kubectl(['create', 'quota', 'none', `--namespace=${full}`, '--hard=count/events=0'])
  const refused = { ...content, about: { ...content.about, namespace: full } }
  bed.recorder.record(content)
  for (const message of ['one', 'two', 'three']) bed.recorder.record({ ...refused, message })
  bed.recorder.record({ ...content, message: 'after them' })
  await bed.recorder.flushed()
  expect(bed.writes()).toBe(5)
  expect(await eventsAbout(content)).toHaveLength(2)
})

test('the queue is bounded and ends with the signal', async () => {
  await using bed = begin({ create: () => new Promise(() => {}), patch: kube.patch })
  const content = await about()
  for (let count = 0; count < 600; count += 1) bed.recorder.record({ ...content, message: `${count}` })
  expect(bed.logged.filter(line => line.includes('dropped the oldest'))).toHaveLength(99)
})

function begin(through: Pick<Kube, 'create' | 'patch'> = kube) {
  const ending = new AbortController()
  const logged: string[] = []
  let writes = 0
  const counted: Pick<Kube, 'create' | 'patch'> = {
    create(...args) {
      writes += 1
      return through.create(...args)
    },
    patch(...args) {
      writes += 1
      return through.patch(...args)
    },
  }
  const recorder = createEventRecorder({
    kube: counted,
    component: 'test',
    host: 'node-1',
    signal: ending.signal,
    logger: pino({}, { write: line => logged.push(line) }),
  })
  return { recorder, logged, writes: () => writes, [Symbol.asyncDispose]: async () => ending.abort() }
}

/** It stays Terminating, as no controller empties it. */
async function terminatingNamespace(): Promise<string> {
  const name = `deleted-${randomUUID()}`
  await cluster.kubectl(['create', 'namespace', name])
  await cluster.kubectl(['delete', 'namespace', name, '--wait=false'])
  return name
}

async function about(content: Partial<EventContent> = {}): Promise<EventContent> {
  const name = `about-${randomUUID()}`
  const { metadata } = await kube.create(configMaps, { namespace, name, body: {} })
  const target = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid: metadata.uid }
  return { about: target, type: 'Normal', reason: 'Tested', message: 'all is well', ...content }
}

async function eventsAbout({ about: { name } }: EventContent) {
  const found: Record<string, unknown>[] = []
  await kube.list(allOfIt, { namespace, fieldSelector: `involvedObject.name=${name}` }, event => found.push(event))
  return found
}
