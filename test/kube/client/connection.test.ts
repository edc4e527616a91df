import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { createKube } from '../../../kube/client/client.ts'
import { configMaps } from '../config-maps.ts'
import { closing, useKube } from '../use-kube.ts'

test('a request fails at its time limit if the API server never answers, and immediately if it is not there', async () => {
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

test('an API server with an unknown certificate gets no request', async () => {
  await using bed = await useKube()
  const kubeconfig = join(bed.cluster.access.dir, 'kubeconfig-without-ca')
  await writeFile(kubeconfig, kubeconfigFor({ server: bed.cluster.access.server }), { mode: 0o600 })
  await using other = closing(createKube({ kubeconfig }))
  await expect(other.kube.get(configMaps, bed.name)).rejects.toThrow(/certificate/)
})

test('certificates renewed in their files are used from then on', async () => {
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

test('concurrent requests share one run of a credential plugin, and one that hangs blocks no request', async () => {
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

test('many calls share few connections', async () => {
  await using bed = await useKube()
  let connections = 0
  const count = () => {
    connections += 1
  }
  subscribe('net.client.socket', count)
  try {
    for (let calls = 0; calls < 50; calls += 1) await bed.kube.get(configMaps, bed.name)
    expect(connections).toBeGreaterThan(0)
    expect(connections).toBeLessThan(4)
  } finally {
    unsubscribe('net.client.socket', count)
  }
})

function kubeconfigFor(cluster: object, user: object = { token: 'some-token' }): string {
  return stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })
}
