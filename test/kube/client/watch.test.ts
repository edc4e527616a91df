import { readFile } from 'node:fs/promises'
import { beforeAll, expect, test } from 'vitest'
import type { Kube, WatchCall, WatchEvent } from '../../../kube/client/contract.ts'
import type { OwnCluster } from '../../cluster/cluster.ts'
import { PATIENCE_MS } from '../../patience.ts'
import { configMaps, OURS, onlyOurs } from '../config-maps.ts'
import { startApiServer } from '../own-api-server.ts'

const namespace = 'default'
let cluster: OwnCluster
let kube: Kube

beforeAll(async () => {
  const started = await startApiServer()
  cluster = started.cluster
  kube = started.kube
  return started.end
})

test('a watch yields the changes of a selection in order until the caller cancels', async () => {
  const resourceVersion = await listVersion()
  const watching = new AbortController()
  const events = watch({ resourceVersion, signal: watching.signal })
  await make('one')
  await kube.create(configMaps, { namespace, name: 'not-ours', body: {} })
  await kube.patch(configMaps, { namespace, name: 'one', body: { data: { a: '1' } } }, MERGE)
  await kube.delete(configMaps, { namespace, name: 'one' })
  const seen: string[] = []
  for await (const event of events) {
    seen.push(`${event.type} ${nameIn(event)}`)
    if (seen.length === 3) watching.abort()
  }
  expect(seen).toEqual(['ADDED one', 'MODIFIED one', 'DELETED one'])
})

test('a slow reader of a watch loses no events', async () => {
  const resourceVersion = await listVersion()
  const watching = new AbortController()
  const events = watch({ resourceVersion, signal: watching.signal })
  const size = 20_000
  const first = events.next()
  const names = Array.from({ length: 60 }, (_, index) => `slow-${index}`)
  for (const name of names) await make(name, { a: 'x'.repeat(size) })
  const seen = [nameIn((await first).value)]
  for await (const event of events) {
    seen.push(nameIn(event))
    if (seen.length === names.length) watching.abort()
  }
  expect(seen).toEqual(names)
})

test('a watch leaves out a change that is too large, and says so', async () => {
  const watching = new AbortController()
  const problems: string[] = []
  const onTooLarge = (problem: string) => {
    problems.push(problem)
  }
  const resourceVersion = await listVersion()
  const events = watch({ resourceVersion, maxObject: 10_000, onTooLarge, signal: watching.signal })
  await make('too-large', { a: 'x'.repeat(12_000) })
  await make('small')
  expect(nameIn((await events.next()).value)).toBe('small')
  expect(problems).toEqual(['watch configmaps: a change is larger than 10000 bytes'])
  watching.abort()
  await events.return(undefined)
})

test('a watch ends after its time limit', async () => {
  const events = watch({ resourceVersion: await listVersion(), longestMs: 1_000, signal: new AbortController().signal })
  for await (const event of events) expect(event.type).toBe('BOOKMARK')
})

test('a watch with an aborted signal ends immediately', async () => {
  const events = watch({ resourceVersion: '0', signal: AbortSignal.abort() })
  expect(await events.next()).toMatchObject({ done: true })
})

test('a watch fails as retryable if the API server goes away or is away', async () => {
  const resourceVersion = await listVersion()
  const away = expect.objectContaining({ code: 'ClusterAway', retryable: true })
  const events = watch({ resourceVersion, signal: AbortSignal.timeout(PATIENCE_MS) })
  await make('before')
  expect(nameIn((await events.next()).value)).toBe('before')
  const next = events.next()
  await Promise.all([expect(next).rejects.toThrow(away), cluster.controlPlane.apiServer.kill()])
  await expect(watch({ resourceVersion, signal: AbortSignal.timeout(PATIENCE_MS) }).next()).rejects.toThrow(away)
  await cluster.controlPlane.apiServer.start()
})

test('a watch gives up an API server that hangs, and works again once it continues', async () => {
  const resourceVersion = await listVersion()
  const events = watch({ resourceVersion, silenceMs: 1_000, signal: AbortSignal.timeout(PATIENCE_MS) })
  await make('last-word')
  expect(nameIn((await events.next()).value)).toBe('last-word')
  const goOn = await hang(cluster.controlPlane.apiServer.pid)
  try {
    await expect(events.next()).rejects.toThrow(expect.objectContaining({ code: 'ClusterAway' }))
    const asked = kube.get(configMaps, { namespace, name: 'last-word' }, { timeoutMs: 300 })
    await expect(asked).rejects.toThrow(/does not answer in time/)
  } finally {
    goOn()
  }
  expect(await kube.get(configMaps, { namespace, name: 'last-word' })).toBeDefined()
})

test('a watch fails with ClusterExpired for a version that the API server no longer knows', async () => {
  const resourceVersion = await listVersion()
  for (const name of ['old-1', 'old-2', 'old-3']) await make(name)
  await cluster.controlPlane.apiServer.restart()
  await expect(watch({ resourceVersion, signal: AbortSignal.timeout(PATIENCE_MS) }).next()).rejects.toThrow(
    expect.objectContaining({ code: 'ClusterExpired', retryable: true }),
  )
})

/** Suspends a process. The result resumes it. */
async function hang(pid = 0): Promise<() => void> {
  const [, parent] = /^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  process.kill(pid, 'SIGSTOP')
  return () => {
    // nsenter stops itself with its child.
    for (const stopped of [pid, Number(parent)]) process.kill(stopped, 'SIGCONT')
  }
}

const MERGE = { type: 'merge', fieldManager: 'test' } as const

function watch(call: WatchCall) {
  return kube.watch(configMaps, { namespace, ...onlyOurs, ...call })
}

function listVersion(): Promise<string> {
  return kube.list(configMaps, { namespace }, () => {})
}

async function make(name: string, data = {}): Promise<void> {
  await kube.create(configMaps, { namespace, name, body: { metadata: OURS, data } })
}

function nameIn(event: WatchEvent | undefined): string {
  return event === undefined || event.type === 'BOOKMARK' ? '' : configMaps.parse(event.object).metadata.name
}
