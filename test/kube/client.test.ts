import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { ApiStatus } from '../../kube/api-error.ts'
import { createKube } from '../../kube/client.ts'
import type { Kube } from '../../kube/contract.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { configMaps, OURS, onlyOurs } from './config-maps.ts'

test('an object is made, read, patched in three ways, replaced and deleted', async () => {
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

test('what is not there is no error, but for those who would write into it', async () => {
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

test('an object with another uid, or that has changed since, is not deleted', async () => {
  await using bed = await useKube()
  const { kube, name } = bed
  const { metadata } = await kube.create(configMaps, { ...name, body: {} })
  await kube.delete(configMaps, { ...name, uid: 'another' })
  await kube.delete(configMaps, { ...name, uid: metadata.uid, resourceVersion: '1' })
  expect(await kube.get(configMaps, name)).toBeDefined()
  await kube.delete(configMaps, { ...name, uid: metadata.uid, resourceVersion: metadata.resourceVersion })
  expect(await kube.get(configMaps, name)).toBeUndefined()
})

test('a name that is taken and a version that is old are conflicts, worth another look', async () => {
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

test('a kind that the API server does not know is refused, not taken for a missing object', async () => {
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

test('who has no right is told verb and resource', async () => {
  await using bed = await useKube()
  const token = await bed.cluster.createToken({ namespace: bed.name.namespace, serviceAccount: 'default' })
  await using other = closing(createKube({ kubeconfig: await bed.cluster.kubeconfig({ token }) }))
  const refused = await other.kube.get(configMaps, bed.name).catch(error => error)
  expect(refused).toMatchObject({ code: 'ClusterRefused', message: expect.stringMatching(/cannot get resource/) })
  expect(JSON.stringify([refused, refused.message, refused.stack, String(refused.cause)])).not.toContain(token)
})

test('credentials that are not accepted may be renewed: that is retryable, and no message holds them', async () => {
  await using bed = await useKube()
  await using other = closing(createKube({ kubeconfig: await bed.cluster.kubeconfig({ token: 'not-a-good-one' }) }))
  const refused = await other.kube.get(configMaps, bed.name).catch(error => error)
  expect(refused).toMatchObject({ code: 'ClusterAway', retryable: true })
  expect(JSON.stringify([refused, refused.message, refused.stack, String(refused.cause)])).not.toContain('not-a-good')
})

test('a list is read page by page, whole, and only what was asked for', async () => {
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
})

test('an answer that is something else than expected says so', async () => {
  await using bed = await useKube()
  const kind = {
    ...configMaps,
    parse: () => {
      throw new Error('it has no wheels')
    },
  }
  await expect(bed.kube.create(kind, { ...bed.name, body: {} })).rejects.toThrow(/no ConfigMap: it has no wheels/)
})

test('connections are kept: many calls, few handshakes', async () => {
  await using bed = await useKube()
  let connections = 0
  const count = () => {
    connections += 1
  }
  subscribe('undici:client:connected', count)
  try {
    for (let calls = 0; calls < 50; calls += 1) await bed.kube.get(configMaps, bed.name)
    expect(connections).toBeGreaterThan(0)
    expect(connections).toBeLessThan(4)
  } finally {
    unsubscribe('undici:client:connected', count)
  }
})

test('a caller that leaves is told so at once, and the connection serves others', async () => {
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

test('an API server that never answers is away once the time is over, and one that is not there at once', async () => {
  await using bed = await useKube()
  const sockets: Socket[] = []
  const server = createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const kubeconfig = join(bed.cluster.access.dir, `kubeconfig-${port}`)
  await writeFile(kubeconfig, kubeconfigFor({ server: `https://127.0.0.1:${port}` }), { mode: 0o600 })
  await using silent = closing(createKube({ kubeconfig }))
  try {
    const begin = performance.now()
    await expect(silent.kube.get(configMaps, bed.name, { timeoutMs: 300 })).rejects.toThrow(/does not answer in time/)
    expect(performance.now() - begin).toBeLessThan(3_000)
  } finally {
    await silent.kube.close()
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  await using gone = closing(createKube({ kubeconfig }))
  await expect(gone.kube.get(configMaps, bed.name)).rejects.toThrow(
    expect.objectContaining({ code: 'ClusterAway', message: expect.stringContaining('ECONNREFUSED') }),
  )
})

test('an API server with another certificate is not talked to', async () => {
  await using bed = await useKube()
  const kubeconfig = join(bed.cluster.access.dir, 'kubeconfig-without-ca')
  await writeFile(kubeconfig, kubeconfigFor({ server: bed.cluster.access.server }), { mode: 0o600 })
  await using other = closing(createKube({ kubeconfig }))
  await expect(other.kube.get(configMaps, bed.name)).rejects.toThrow(/certificate/)
})

test('certificates that are renewed in their file are used from then on', async () => {
  await using bed = await useKube()
  const { dir, server, token, certificate } = bed.cluster.access
  const ca = `ca-${bed.name.namespace}.crt`
  const kubeconfig = join(dir, `renewed-${bed.name.namespace}`)
  const cluster = { server, 'certificate-authority': ca }
  await writeFile(join(dir, ca), rootCertificates[0] ?? '')
  await writeFile(kubeconfig, kubeconfigFor(cluster, { token }), { mode: 0o600 })
  await using other = closing(createKube({ kubeconfig }))
  await expect(other.kube.get(configMaps, bed.name)).rejects.toThrow(/certificate/)
  await writeFile(join(dir, ca), certificate)
  expect(await other.kube.get(configMaps, bed.name)).toBeUndefined()
})

test('a program that gives tokens is run once for all who ask, and one that hangs holds nobody up', async () => {
  await using bed = await useKube()
  const { dir, server, token, certificate } = bed.cluster.access
  const runs = join(dir, `runs-${bed.name.namespace}`)
  const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token } }
  const cluster = { server, 'certificate-authority-data': Buffer.from(certificate).toString('base64') }
  const exec = (script: string) => ({ command: 'sh', args: ['-c', script], interactiveMode: 'Never' })
  const write = async (name: string, script: string) => {
    const path = join(dir, `${name}-${bed.name.namespace}`)
    await writeFile(path, kubeconfigFor(cluster, { exec: exec(script) }), { mode: 0o600 })
    return path
  }
  const good = await write('good', `echo run >> ${runs}; echo '${JSON.stringify(credential)}'`)
  await using asking = closing(createKube({ kubeconfig: good }))
  const asked = Array.from({ length: 5 }, () => asking.kube.get(configMaps, bed.name))
  expect(await Promise.all(asked)).toEqual(Array(5).fill(undefined))
  expect(await readFile(runs, 'utf8')).toBe('run\n')

  await using waiting = closing(createKube({ kubeconfig: await write('hanging', 'sleep 3') }))
  await expect(waiting.kube.get(configMaps, bed.name, { timeoutMs: 200 })).rejects.toThrow(/does not answer in time/)
})

async function useKube() {
  const cluster = await useCluster()
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  return {
    cluster,
    kube,
    name: { namespace: await cluster.createNamespace(), name: 'one' },
    async [Symbol.asyncDispose]() {
      await kube.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
}

function closing(kube: Kube) {
  return { kube, [Symbol.asyncDispose]: () => kube.close() }
}

function kubeconfigFor(cluster: object, user: object = { token: 'some-token' }): string {
  return stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })
}
