import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { createKube } from '../../../kube/client/client.ts'
import { configMaps } from '../config-maps.ts'
import { closing, useKube } from '../use-kube.ts'

describe('a kubeconfig with a proxy-url', () => {
  it.each([
    ['http', createHttpProxy],
    ['socks5', createSocksProxy],
  ])('is used through the proxy: %s', async (protocol, createProxy) => {
    await using bed = await useKube()
    const { dir, server, token, certificate } = bed.cluster.access
    let tunnels = 0
    const proxy = createProxy(() => {
      tunnels += 1
    })
    await using through = await listening(proxy)
    const cluster = {
      server,
      'certificate-authority-data': Buffer.from(certificate).toString('base64'),
      'proxy-url': `${protocol}://127.0.0.1:${through.port}`,
    }
    const kubeconfig = join(dir, `${protocol}-${bed.name.namespace}`)
    const config = {
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }
    await writeFile(kubeconfig, stringify(config), { mode: 0o600 })
    await using proxied = closing(createKube({ kubeconfig }))
    await proxied.kube.create(configMaps, { ...bed.name, body: { data: { key: 'value' } } })
    expect(await proxied.kube.get(configMaps, bed.name)).toMatchObject({ data: { key: 'value' } })
    expect(tunnels).toBeGreaterThan(0)
  })
})

function createHttpProxy(onTunnel: () => void): Server {
  return createHttpServer().on('connect', ({ url = '' }, client: Socket) => {
    onTunnel()
    const { hostname, port } = new URL(`http://${url}`)
    const upstream = connect(Number(port), hostname, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
    tie(client, upstream)
  })
}

/** The part of RFC 1928 that a client without a password needs for IPv4 addresses. */
function createSocksProxy(onTunnel: () => void): Server {
  return createServer(async client => {
    await once(client, 'data')
    client.write(Buffer.of(5, 0))
    const [asked]: Buffer[] = await once(client, 'data')
    if (asked?.[3] !== 1) throw new Error('only IPv4 addresses are known here')
    onTunnel()
    const upstream = connect(asked.readUInt16BE(8), asked.subarray(4, 8).join('.'), () =>
      client.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)),
    )
    tie(client, upstream)
  })
}

function tie(client: Socket, upstream: Socket): void {
  for (const socket of [client, upstream]) socket.on('error', () => {})
  client.pipe(upstream).pipe(client)
}

async function listening(server: Server) {
  const sockets = new Set<Socket>()
  server.on('connection', socket => sockets.add(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
