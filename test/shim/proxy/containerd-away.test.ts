import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import type { CriClient } from '../../node/cri.ts'
import { PATIENT } from '../../patience.ts'
import { connectRaw, messageOf, statusOf } from './raw-client.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'

const VERSION = '/runtime.v1.RuntimeService/Version'

let bed: Bed
let proxy: RunningProxy
let cri: CriClient

beforeAll(async () => {
  bed = await startBed({ without: ['nix', 'containerd'] })
  proxy = await startProxy({ upstream: bed.containerdSocket })
  cri = bed.cri(proxy.socket)
})

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

describe('before containerd has started', () => {
  test('a call whose deadline passes is answered with DEADLINE_EXCEEDED', async () => {
    using client = await connectRaw(proxy.socket)
    const answered = await client.call(VERSION, { headers: { 'grpc-timeout': '100m' } })
    expect([statusOf(answered), messageOf(answered)]).toEqual([4, 'deadline exceeded, after containerd was away'])
  })

  test('a call that its caller cancels is forgotten', async () => {
    using client = await connectRaw(proxy.socket)
    const stream = client.open(VERSION)
    stream.end()
    await new Promise<void>(resolve => client.session.ping(() => resolve()))
    stream.close(8)
    await vi.waitUntil(() => proxy.logLines().some(({ msg }) => msg === 'call cancelled'), PATIENT)
  })

  test('calls with and without a deadline are answered once it has started', async () => {
    const early = [
      cri.version(),
      cri.imageStatus('localhost/none:1', { limitMs: 0 }),
      cri.listImages(),
      cri.imageFsInfo(),
    ]
    await bed.containerd.start({ wait: false })
    const [version, image, images, fileSystems] = await Promise.all(early)
    expect([version, image, images]).toEqual([expect.objectContaining({ runtimeName: 'containerd' }), undefined, []])
    expect(fileSystems).toHaveLength(1)
  })
})

describe('when containerd restarts', () => {
  test.each(['restart', 'kill and start'] as const)('no call fails that may be sent again: %s', async how => {
    const calls = callWithoutPause(cri)
    try {
      await vi.waitUntil(() => calls.answered() > 50, PATIENT)
      if (how === 'restart') await bed.containerd.stop()
      else await bed.containerd.kill()
      await bed.containerd.start({ wait: false })
      const before = calls.answered()
      await vi.waitUntil(() => calls.answered() > before + 50, PATIENT)
    } finally {
      expect(await calls.stop()).toEqual([])
    }
  })

  test('a running pull is sent again', async () => {
    await using registry = await silentRegistry()
    const abandon = new AbortController()
    const pull = cri.pullImage({ image: `localhost:${registry.port}/x:1` }, { signal: abandon.signal })
    const failed = expect(pull).rejects.toMatchObject({ code: 1 })
    await vi.waitUntil(() => registry.connections() === 1, PATIENT)
    await bed.containerd.restart()
    await vi.waitUntil(() => registry.connections() > 1, PATIENT)
    abandon.abort()
    await failed
  })
})

test('a cancelled pull is also cancelled in containerd', async () => {
  await using registry = await silentRegistry()
  const abandon = new AbortController()
  const pull = cri.pullImage({ image: `localhost:${registry.port}/x:1` }, { signal: abandon.signal })
  const failed = expect(pull).rejects.toMatchObject({ code: 1 })
  await vi.waitUntil(() => registry.open() === 1, PATIENT)
  abandon.abort()
  await failed
  await vi.waitUntil(() => registry.open() === 0, PATIENT)
})

test("a pull's deadline is kept by containerd", async () => {
  await using registry = await silentRegistry()
  const pull = cri.pullImage({ image: `localhost:${registry.port}/x:1` }, { limitMs: 300 })
  await expect(pull).rejects.toMatchObject({ code: 4 })
  await vi.waitUntil(() => registry.open() === 0, PATIENT)
})

test('calls wait for a containerd that accepts connections but does not answer', async () => {
  const dir = proxy.dir
  const silent = net.createServer()
  silent.listen(join(dir, 'silent.sock'))
  await once(silent, 'listening')
  await using other = await startProxy({ upstream: join(dir, 'silent.sock') })
  using client = await connectRaw(other.socket)
  const answered = await client.call(VERSION, { headers: { 'grpc-timeout': '200m' } })
  expect(statusOf(answered)).toBe(4)
  silent.close()
})

/** Ten callers that call again as soon as they are answered. */
function callWithoutPause(client: CriClient) {
  const failures: unknown[] = []
  let answered = 0
  let stopped = false
  const methods = [
    () => client.imageStatus('localhost/none:1'),
    () => client.listImages(),
    () => client.imageFsInfo(),
    () => client.version(),
    () => client.removeImage('localhost/none:2'),
  ]
  const caller = async (method: () => Promise<unknown>) => {
    while (!stopped) {
      await method().catch(error => failures.push(error))
      answered += 1
    }
  }
  const callers = [...methods, ...methods].map(caller)
  return {
    answered: () => answered,
    async stop() {
      stopped = true
      await Promise.all(callers)
      return failures
    },
  }
}

/** Takes connections and never answers, so that a pull stays under way. */
async function silentRegistry() {
  const sockets = new Set<net.Socket>()
  let connections = 0
  const server = net.createServer(socket => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' ? address?.port : undefined,
    connections: () => connections,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
