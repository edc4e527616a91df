import { expect, test } from 'vitest'
import { AnswerTooLarge } from '../../../kube/client/answer-body.ts'
import { ApiStatus } from '../../../kube/client/api-error.ts'
import { createKube } from '../../../kube/client/client.ts'
import type { ListOptions } from '../../../kube/client/contract.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { SPEC } from '../../deploy/nixbuilds.ts'
import { configMaps, OURS, onlyOurs } from '../config-maps.ts'
import { closing, useKube } from '../use-kube.ts'

test('an object is created, read, patched in three ways, replaced and deleted', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  const made = await kube.create(configMaps, { ...name, body: { data: { a: '1' } } })
  expect(made).toMatchObject({ metadata: { ...name }, data: { a: '1' } })
  expect(await kube.get(configMaps, name)).toEqual(made)

  const patch = (type: 'merge' | 'strategic' | 'apply', data: object) =>
    kube.patch(configMaps, { ...name, body: { data } }, { type, fieldManager: `test-${type}` })
  expect(await patch('merge', { b: '2' })).toMatchObject({ data: { a: '1', b: '2' } })
  expect(await patch('strategic', { a: null })).toMatchObject({ data: { b: '2' } })
  expect(await patch('apply', { b: '3', c: '4' })).toMatchObject({ data: { b: '3', c: '4' } })
  expect((await patch('apply', { c: '4' }))?.data).toEqual({ c: '4' })

  const replaced = await kube.replace(configMaps, { ...name, body: { data: { d: '5' } } })
  expect(replaced.data).toEqual({ d: '5' })
  await kube.delete(configMaps, name)
  expect(await kube.get(configMaps, name)).toBeUndefined()
})

test('the API server records which program created an object', async () => {
  await using bed = await useKube()
  await bed.kube.create(configMaps, { ...bed.name, body: { data: { a: '1' } } })
  const { namespace, name } = bed.name
  expect(await bed.cluster.read(`/api/v1/namespaces/${namespace}/configmaps/${name}`)).toMatchObject({
    metadata: { managedFields: [{ manager: 'test-component' }] },
  })
})

test('a missing object is an error only for replacing it', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  const body = { data: {} }
  expect(await kube.get(configMaps, name)).toBeUndefined()
  expect(await kube.patch(configMaps, { ...name, body }, { type: 'merge', fieldManager: 'test' })).toBeUndefined()
  await kube.delete(configMaps, name)
  const resourceVersion = '1'
  await expect(
    kube.replace(configMaps, { ...name, body: { metadata: { uid: 'other', resourceVersion } } }),
  ).rejects.toThrow(expect.objectContaining({ code: expect.stringMatching(/ClusterConflict|ClusterRefused/) }))
})

test('an object is not deleted if its uid or resourceVersion differs', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  const { metadata } = await kube.create(configMaps, { ...name, body: {} })
  await kube.delete(configMaps, { ...name, uid: 'another' })
  await kube.delete(configMaps, { ...name, uid: metadata.uid, resourceVersion: '1' })
  expect(await kube.get(configMaps, name)).toBeDefined()
  await kube.delete(configMaps, { ...name, uid: metadata.uid, resourceVersion: metadata.resourceVersion })
  expect(await kube.get(configMaps, name)).toBeUndefined()
})

test('a taken name and an outdated version are retryable conflicts', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  const { metadata } = await kube.create(configMaps, { ...name, body: {} })
  const { resourceVersion } = metadata
  const conflict = expect.objectContaining({ code: 'ClusterConflict', retryable: true })
  await expect(kube.create(configMaps, { ...name, body: {} })).rejects.toThrow(conflict)
  const body = { metadata: { resourceVersion }, data: { a: '1' } }
  await kube.replace(configMaps, { ...name, body })
  await expect(kube.replace(configMaps, { ...name, body })).rejects.toThrow(conflict)
  for (const type of ['merge', 'apply'] as const) {
    await expect(kube.patch(configMaps, { ...name, body }, { type, fieldManager: 'test' })).rejects.toThrow(conflict)
  }
})

test.each([
  ['a malformed name', { name: 'A_b' }, 422, /refuses to create configmaps \S+\/A_b: .*RFC 1123/],
  [
    'a namespace that is not there',
    { namespace: 'no-such-namespace' },
    404,
    /namespaces "no-such-namespace" not found/,
  ],
] as const)('%s is refused for good, with what was tried and why', async (_, other, status, message) => {
  await using bed = await useKube()
  const refused = await bed.kube.create(configMaps, { ...bed.name, ...other, body: {} }).catch(error => error)
  expect(refused).toMatchObject({ code: 'ClusterRefused', retryable: false, message: expect.stringMatching(message) })
  expect(refused.cause).toBeInstanceOf(ApiStatus)
  expect(refused.cause.status).toBe(status)
})

test('an unknown kind is refused, not treated as a missing object', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  for (const unknown of [
    { ...configMaps, plural: 'nothings' },
    { ...configMaps, apiVersion: 'no.such.group/v1' },
  ]) {
    const refused = expect.objectContaining({ code: 'ClusterRefused' })
    await expect(kube.get(unknown, name)).rejects.toThrow(refused)
    await expect(kube.list(unknown, {}, () => {})).rejects.toThrow(refused)
    const events = kube.watch(unknown, { resourceVersion: '0', signal: AbortSignal.timeout(20_000) })
    await expect(events.next()).rejects.toThrow(refused)
  }
})

test('a missing right is reported with verb and resource', async () => {
  await using bed = await useKube()
  const token = await bed.cluster.createToken({ namespace: bed.name.namespace, serviceAccount: 'default' })
  await using other = closing(createKube({ kubeconfig: await bed.cluster.kubeconfig({ token }) }))
  const refused = await other.kube.get(configMaps, bed.name).catch(error => error)
  expect(refused).toMatchObject({ code: 'ClusterRefused', message: expect.stringMatching(/cannot get resource/) })
  expect(JSON.stringify([refused, refused.message, refused.stack, String(refused.cause)])).not.toContain(token)
})

test('rejected credentials are retryable, and no message contains them', async () => {
  await using bed = await useKube()
  await using other = closing(createKube({ kubeconfig: await bed.cluster.kubeconfig({ token: 'not-a-good-one' }) }))
  const refused = await other.kube.get(configMaps, bed.name).catch(error => error)
  expect(refused).toMatchObject({ code: 'ClusterAway', retryable: true })
  expect(JSON.stringify([refused, refused.message, refused.stack, String(refused.cause)])).not.toContain('not-a-good')
})

test('a list is read page by page, complete and limited to its selection', async () => {
  await using bed = await useKube()
  const { kube, cluster, name } = bed
  const { namespace } = name
  const names = Array.from({ length: 7 }, (_, index) => `map-${index}`)
  for (const name of names) await kube.create(configMaps, { namespace, name, body: { metadata: OURS } })
  await kube.create(configMaps, { namespace, name: 'other', body: {} })
  const elsewhere = await cluster.createNamespace()
  await kube.create(configMaps, { namespace: elsewhere, name: 'map-8', body: { metadata: OURS } })

  const found: string[] = []
  const selection = { namespace, ...onlyOurs }
  const version = await kube.list(configMaps, selection, map => found.push(map.metadata.name), { pageSize: 2 })
  expect(found.sort()).toEqual(names)
  expect(version).toMatch(/^\d+$/)

  const one: string[] = []
  await kube.list(configMaps, { namespace, fieldSelector: 'metadata.name=map-3' }, map => one.push(map.metadata.name))
  expect(one).toEqual(['map-3'])

  let read = 0
  const tooLong = kube.list(configMaps, selection, () => (read += 1), { pageSize: 2, maxLength: 1500 })
  await expect(tooLong).rejects.toMatchObject({ code: 'ClusterRefused', cause: expect.any(AnswerTooLarge) })
  expect(read).toBeLessThan(names.length)
})

test.each([
  ['a built-in kind', configMaps],
  ['a custom resource', nixBuilds],
])('a list of %s leaves out an object that is too large, and says after which one it comes', async (_, kind) => {
  await using bed = await useKube()
  const { kube, name } = bed
  const { namespace } = name
  const large = { annotations: { large: 'x'.repeat(12_000) } }
  for (const [name, metadata] of Object.entries({ a: large, b: {}, c: large, d: large, e: {}, f: large }))
    await kube.create<unknown>(kind, { namespace, name, body: { metadata: { ...OURS, ...metadata }, spec: SPEC } })

  const found: unknown[] = []
  const problems: string[] = []
  const options = { pageSize: 1, maxObject: 10_000 }
  const list = (more: ListOptions) =>
    kube.list<unknown>(kind, { namespace, ...onlyOurs }, item => found.push(item), { ...options, ...more })
  expect(await list({ onTooLarge: problem => problems.push(problem) })).toMatch(/^\d+$/)
  expect(found).toMatchObject([{ metadata: { name: 'b' } }, { metadata: { name: 'e' } }])
  expect(problems).toEqual(
    ['the first object', 'the object after NS/b', 'the object after NS/b', 'the object after NS/e'].map(place =>
      `list ${kind.plural} in NS: ${place} is larger than 10000 bytes`.replaceAll('NS', namespace),
    ),
  )
  await expect(list({})).rejects.toMatchObject({ code: 'ClusterRefused', cause: expect.any(AnswerTooLarge) })
})

test('an unexpected answer is reported as such', async () => {
  await using bed = await useKube()
  const kind = {
    ...configMaps,
    parse: () => {
      throw new Error('it has no wheels')
    },
  }
  await expect(bed.kube.create(kind, { ...bed.name, body: {} })).rejects.toThrow(/not a ConfigMap: it has no wheels/)
})

test('a cancelled call fails immediately, and the connection serves others', async () => {
  await using bed = await useKube()
  const caller = new AbortController()
  const asked = bed.kube.get(configMaps, bed.name, { signal: caller.signal })
  caller.abort()
  await expect(asked).rejects.toThrow(expect.objectContaining({ code: 'Cancelled' }))
  await expect(bed.kube.get(configMaps, bed.name, { signal: AbortSignal.abort() })).rejects.toThrow(
    expect.objectContaining({ code: 'Cancelled' }),
  )
  expect(await bed.kube.get(configMaps, bed.name)).toBeUndefined()
})
