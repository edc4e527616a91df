import { pino } from 'pino'
import { beforeAll, expect, test } from 'vitest'
import type { Kube } from '../../kube/client/contract.ts'
import { createMirror, type MirrorOptions } from '../../kube/mirror.ts'
import { RetryableError } from '../../lib/errors.ts'
import type { OwnCluster } from '../cluster/cluster.ts'
import { PATIENT } from '../patience.ts'
import { type ConfigMap, configMaps, OURS, onlyOurs } from './config-maps.ts'
import { startApiServer } from './own-api-server.ts'

const namespace = 'default'
let cluster: OwnCluster
let kube: Kube

beforeAll(async () => {
  const started = await startApiServer()
  cluster = started.cluster
  kube = started.kube
  return started.end
})

test('a mirror follows objects that exist, are added, changed and removed, and reports each change once', async () => {
  await make('first', { a: '1' })
  await using bed = mirror()
  await bed.mirror.synced()
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/first': '1' })
  expect(bed.changes).toEqual(['default/first'])
  await make('second', { a: '2' })
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/first': '1', 'default/second': '2' })
  await change('first', { a: '3' })
  await expect.poll(() => bed.mirror.get('default/first'), PATIENT).toBe('3')
  await remove('first', 'second')
  await expect.poll(bed.content, PATIENT).toEqual({})
  expect(bed.changes).toEqual(['first', 'second', 'first', 'first', 'second'].map(name => `default/${name}`))
})

test('a mirror neither keeps nor reports what the projection drops', async () => {
  await using bed = mirror({ project: map => (map.data.a === 'hidden' ? undefined : map.data.a) })
  await bed.mirror.synced()
  await make('quiet', { a: 'hidden' })
  await make('loud', { a: '1' })
  await change('loud', { b: 'ignored' })
  await change('loud', { a: 'hidden' })
  await make('last', { a: '1' })
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/last': '1' })
  expect(bed.changes).toEqual(['loud', 'loud', 'last'].map(name => `default/${name}`))
  await remove('quiet', 'loud', 'last')
})

test('a mirror whose connection breaks continues where it was, and reads nothing again', async () => {
  await make('stays', { a: '1' })
  await make('changes', { a: '1' })
  await make('goes', { a: '1' })
  let away = Promise.withResolvers<never>()
  const seen: string[] = []
  let isAway = false
  await using bed = mirror({
    kube: {
      async *watch(kind, call) {
        if (isAway) throw new RetryableError('ClusterAway', 'not yet')
        const events = kube.watch(kind, call)
        for (;;) {
          const { done, value } = await Promise.race([events.next(), away.promise])
          if (done) return
          if (value.type !== 'BOOKMARK') seen.push(`${value.type} ${configMaps.parse(value.object).metadata.name}`)
          yield value
        }
      },
    },
  })
  await bed.mirror.synced()
  // The API server's cache, which answers, may be a moment behind.
  await expect.poll(() => seen, PATIENT).toHaveLength(3)
  isAway = true
  away.reject(new RetryableError('ClusterAway', 'the connection broke'))
  await expect.poll(() => bed.logged.join(), PATIENT).toContain('not yet')
  await change('changes', { a: '2' })
  await remove('goes')
  expect(bed.content()).toEqual({ 'default/changes': '1', 'default/goes': '1', 'default/stays': '1' })
  away = Promise.withResolvers()
  isAway = false
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/changes': '2', 'default/stays': '1' })
  expect(seen.slice(3)).toEqual(['MODIFIED changes', 'DELETED goes'])
  await remove('stays', 'changes')
  await expect.poll(bed.content, PATIENT).toEqual({})
})

test('a mirror catches up after an API server restart that lost the resource version', async () => {
  await make('kept', { a: '1' })
  await using bed = mirror()
  await bed.mirror.synced()
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/kept': '1' })
  // Other writes make the mirror's last version outdated.
  for (let count = 0; count < 3; count += 1) await kube.create(configMaps, { namespace, name: `x-${count}`, body: {} })
  const { apiServer } = cluster.controlPlane
  await apiServer.kill()
  await expect.poll(() => bed.logged.join(), PATIENT).toContain('cannot follow changes')
  expect(bed.content()).toEqual({ 'default/kept': '1' })
  await apiServer.start()
  await change('kept', { a: '2' })
  await make('new', { a: '1' })
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/kept': '2', 'default/new': '1' })
  await remove('kept', 'new')
  await expect.poll(bed.content, PATIENT).toEqual({})
})

test('a mirror that starts while the API server is away is filled later', async () => {
  await make('early', { a: '1' })
  const { apiServer } = cluster.controlPlane
  await apiServer.kill()
  await using bed = mirror()
  await expect.poll(() => bed.logged.join(), PATIENT).toContain('ECONNREFUSED')
  expect(bed.mirror.isSynced).toBe(false)
  await apiServer.start()
  await bed.mirror.synced()
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/early': '1' })
  await remove('early')
})

test('a mirror omits an unreadable object and logs its name', async () => {
  await make('good', { a: '1' })
  await make('bad', { a: '2' })
  const parse = (object: unknown) => {
    const map = configMaps.parse(object)
    if (map.metadata.name === 'bad') throw new Error('it has no wheels')
    return map
  }
  await using bed = mirror({ kind: { ...configMaps, parse } })
  await bed.mirror.synced()
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/good': '1' })
  await expect.poll(() => bed.logged.join(), PATIENT).toMatch(/default\/bad.*|.*no wheels.*default\/bad/)
  await remove('good', 'bad')
})

test('a mirror survives a listener that throws', async () => {
  await using bed = mirror({
    onChange: () => {
      throw new Error('not now')
    },
  })
  await bed.mirror.synced()
  await make('one', { a: '1' })
  await expect.poll(bed.content, PATIENT).toEqual({ 'default/one': '1' })
  await remove('one')
  await expect.poll(bed.content, PATIENT).toEqual({})
})

test('a mirror ends with its signal, synced or not', async () => {
  const bed = mirror()
  await bed.mirror.synced()
  await bed[Symbol.asyncDispose]()
  const never = mirror({ signal: AbortSignal.abort() })
  await never.mirror.synced()
  expect(never.mirror.isSynced).toBe(false)
  await never.mirror.ended
})

function mirror(plan: Partial<MirrorOptions<ConfigMap, string>> = {}) {
  const changes: string[] = []
  const logged: string[] = []
  const ending = new AbortController()
  const made = createMirror<ConfigMap, string>({
    kube,
    kind: configMaps,
    selection: { namespace, ...onlyOurs },
    project: map => map.data.a,
    onChange: key => changes.push(key),
    signal: ending.signal,
    logger: pino({}, { write: line => logged.push(line) }),
    ...plan,
  })
  return {
    mirror: made,
    changes,
    logged,
    content: () => Object.fromEntries(made.entries()),
    async [Symbol.asyncDispose]() {
      ending.abort()
      await made.ended
    },
  }
}

async function make(name: string, data: Record<string, string>): Promise<void> {
  await kube.create(configMaps, { namespace, name, body: { metadata: OURS, data } })
}

async function change(name: string, data: Record<string, string>): Promise<void> {
  await kube.patch(configMaps, { namespace, name, body: { data } }, { type: 'merge', fieldManager: 'test' })
}

async function remove(...names: readonly string[]): Promise<void> {
  for (const name of names) await kube.delete(configMaps, { namespace, name })
}
