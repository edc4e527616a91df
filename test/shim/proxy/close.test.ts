import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { UnaryCall } from '../../../shim/proxy/contract.ts'
import { PATIENT } from '../../patience.ts'
import { connectRaw, messageOf, type RawClient, statusOf } from './raw-client.ts'
import { answer, type Peer, type PeerCall, startPeer } from './raw-peer.ts'
import { type RunningProxy, startProxy, tempFolder } from './start-proxy.ts'

// When a call ends is the test's to say here, so an HTTP/2 server of the test stands in containerd's place.

const HELD = '/example.Own/Held'
const stack = { value: new AsyncDisposableStack() }

let peer: Peer
let proxy: RunningProxy
let client: RawClient
let onCall: (call: PeerCall) => void
let signal: AbortSignal | undefined

beforeEach(async () => {
  const folder = stack.value.use(await tempFolder())
  const upstream = join(folder.dir, 'peer.sock')
  peer = stack.value.use(await startPeer(upstream, call => onCall(call)))
  const held = async (call: UnaryCall) => {
    signal = call.signal
    return new Promise<never>(() => {})
  }
  proxy = stack.value.use(await startProxy({ upstream, intercept: new Map([[HELD, held]]) }))
  client = stack.value.use(await connectRaw(proxy.socket))
})

afterEach(async () => {
  await stack.value.disposeAsync()
  stack.value = new AsyncDisposableStack()
})

test('running calls end within the grace time, then everything is closed', async () => {
  const running: PeerCall[] = []
  onCall = call => running.push(call)
  const goaway = new Promise(resolve => client.session.on('goaway', resolve))
  const calls = [client.call('/one'), client.call('/two')]
  await vi.waitUntil(() => running.length === 2, PATIENT)
  const closed = proxy.proxy.close({ graceMs: 60_000 })
  expect(await goaway).toBe(0)
  await expect(connectRaw(proxy.socket)).rejects.toMatchObject({ code: 'ENOENT' })
  for (const { stream } of running) answer(stream, Buffer.from('in time'))
  expect((await Promise.all(calls)).map(({ body }) => body.toString())).toEqual(['in time', 'in time'])
  await closed
  await vi.waitUntil(() => peer.sessions.size === 0, PATIENT)
})

test('calls that take longer are answered with UNAVAILABLE and cancelled in containerd', async () => {
  onCall = () => {}
  const calls = [client.call('/forwarded'), client.call(HELD)]
  await vi.waitUntil(() => peer.calls.length === 1 && signal !== undefined, PATIENT)
  await proxy.proxy.close({ graceMs: 50 })
  const answers = await Promise.all(calls)
  expect(answers.map(statusOf)).toEqual([14, 14])
  expect(answers.map(messageOf)).toEqual(Array(2).fill('enbi-shim is shutting down'))
  expect(signal?.aborted).toBe(true)
  await vi.waitUntil(() => peer.calls[0]?.stream.closed, PATIENT)
})

test('a caller that does not read its answer does not delay the end', async () => {
  onCall = ({ stream }) => {
    stream.respond({ ':status': 200 })
    stream.write(Buffer.alloc(32 << 20))
  }
  const stream = client.open('/large')
  stream.pause()
  await vi.waitUntil(() => peer.calls.length === 1, PATIENT)
  await proxy.proxy.close({ graceMs: 50 })
})

test('calls that wait for containerd are answered as well', async () => {
  await using away = await startProxy({ upstream: join(proxy.dir, 'nobody.sock') })
  using waiting = await connectRaw(away.socket)
  const call = waiting.call('/waiting')
  await new Promise<void>(resolve => waiting.session.ping(() => resolve()))
  await away.proxy.close({ graceMs: 50 })
  expect(statusOf(await call)).toBe(14)
})

test('closing twice, or without having listened, does nothing', async () => {
  await proxy.proxy.close({ graceMs: 0 })
  await proxy.proxy.close({ graceMs: 0 })
  await expect(access(proxy.socket)).rejects.toMatchObject({ code: 'ENOENT' })
})
