import { once } from 'node:events'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FinalError } from '../../../lib/errors.ts'
import { ERROR_CODE_HEADER } from '../../../lib/grpc/status.ts'
import type { StreamHandler, UnaryCall, UnaryInterceptor } from '../../../shim/proxy/contract.ts'
import { PATIENT } from '../../patience.ts'
import { connectRaw, frame, messageOf, type RawClient, readAnswer, statusOf, valuesOf } from './raw-client.ts'
import { answer, type Peer, type PeerCall, readAll, startPeer } from './raw-peer.ts'
import { type RunningProxy, startProxy, tempFolder } from './start-proxy.ts'

// What is passed on must be seen as it arrives, so an HTTP/2 server of the test stands in containerd's place.

const PULL = '/runtime.v1.ImageService/PullImage'
const WATCH = '/example.Progress/Watch'
const stack = { value: new AsyncDisposableStack() }

let peer: Peer
let proxy: RunningProxy
let client: RawClient
let onCall: (call: PeerCall) => void
let interceptor: UnaryInterceptor
let handler: StreamHandler
let bodies: Buffer[]

beforeEach(async () => {
  const folder = stack.value.use(await tempFolder())
  const upstream = join(folder.dir, 'peer.sock')
  bodies = []
  onCall = async ({ stream }) => {
    bodies.push(await readAll(stream))
    answer(stream, frame(Buffer.from('from containerd')), { 'x-trailer': 'kept' })
  }
  peer = stack.value.use(await startPeer(upstream, call => onCall(call)))
  const intercept = new Map([[PULL, (call: UnaryCall) => interceptor(call)]])
  const streams = new Map([[WATCH, (call: UnaryCall) => handler(call)]])
  proxy = stack.value.use(await startProxy({ upstream, intercept, streams }))
  client = stack.value.use(await connectRaw(proxy.socket))
})

afterEach(async () => {
  await stack.value.disposeAsync()
  stack.value = new AsyncDisposableStack()
})

describe('an intercepted call that is forwarded', () => {
  test('reaches containerd as it came, and its whole answer comes back', async () => {
    const seen: UnaryCall[] = []
    const statuses: number[] = []
    interceptor = async call => {
      seen.push(call)
      return { kind: 'forward', afterwards: status => void statuses.push(status) }
    }
    const body = frame(Buffer.from('request'))
    const answered = await client.call(PULL, { headers: { 'x-data-bin': ['AA', 'BB'] }, body })
    expect(seen[0]).toMatchObject({ path: PULL, request: Buffer.from('request') })
    expect(bodies).toEqual([body])
    expect(valuesOf(peer.calls[0]?.raw ?? [], 'x-data-bin')).toEqual(['AA', 'BB'])
    expect(answered.body).toEqual(frame(Buffer.from('from containerd')))
    expect(valuesOf(answered.trailers, 'x-trailer')).toEqual(['kept'])
    expect(statuses).toEqual([0])
  })

  test('reports the status of its answer afterwards', async () => {
    const statuses: number[] = []
    interceptor = async () => ({ kind: 'forward', afterwards: status => void statuses.push(status) })
    onCall = ({ stream }) => stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    expect(statusOf(await client.call(PULL))).toBe(5)
    expect(statuses).toEqual([5])
  })

  test('ends for its caller when the work afterwards is done', async () => {
    const work = Promise.withResolvers<void>()
    const order: string[] = []
    interceptor = async () => ({ kind: 'forward', afterwards: () => work.promise })
    const answered = client.call(PULL).then(answer => {
      order.push('answered')
      return answer
    })
    await vi.waitFor(() => expect(bodies).toHaveLength(1), PATIENT)
    order.push('work')
    work.resolve()
    expect(statusOf(await answered)).toBe(0)
    expect(order).toEqual(['work', 'answered'])
  })

  test('ends for its caller in time although the work afterwards takes longer', async () => {
    interceptor = async () => ({ kind: 'forward', afterwards: () => new Promise(() => {}) })
    expect(statusOf(await client.call(PULL, { headers: { 'grpc-timeout': '1500m' } }))).toBe(0)
  })

  test('is decompressed for the interceptor and forwarded compressed, as it came', async () => {
    const requests: string[] = []
    interceptor = async ({ request }) => {
      requests.push(request.toString())
      return { kind: 'forward' }
    }
    const body = frame(gzipSync('request'), 1)
    await client.call(PULL, { headers: { 'grpc-encoding': 'gzip' }, body })
    expect([requests, bodies]).toEqual([['request'], [body]])
  })

  test.each<[string, Buffer, Record<string, string>]>([
    ['in an unknown encoding', frame(Buffer.from('?'), 1), { 'grpc-encoding': 'zstd' }],
    ['that is not what its encoding says', frame(Buffer.from('?'), 1), { 'grpc-encoding': 'gzip' }],
    ['of two messages', Buffer.concat([frame(Buffer.from('1')), frame(Buffer.from('2'))]), {}],
    ['that is cut short', frame(Buffer.from('request')).subarray(0, 8), {}],
    ['that is empty', Buffer.alloc(0), {}],
    ['that expands beyond 16 MiB', frame(gzipSync(Buffer.alloc(17 << 20)), 1), { 'grpc-encoding': 'gzip' }],
  ])('is left to containerd if its request cannot be read: %s', async (_what, body, headers) => {
    interceptor = async () => expect.unreachable('it cannot be read')
    await client.call(PULL, { headers, body })
    expect(bodies).toEqual([body])
  })

  test('has its deadline shortened by the time that the interceptor took', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    interceptor = async () => {
      vi.advanceTimersByTime(10_000)
      return { kind: 'forward' }
    }
    await client.call(PULL, { headers: { 'grpc-timeout': '60S' } })
    vi.useRealTimers()
    expect(peer.calls[0]?.headers['grpc-timeout']).toMatch(/^(50|49)\d{6}u$/)
  })
})

describe('an intercepted call that is answered', () => {
  test('gets one message and status 0, and does not reach containerd', async () => {
    interceptor = async ({ request }) => ({ kind: 'reply', message: Buffer.concat([request, Buffer.from('!')]) })
    const answered = await client.call(PULL, { body: frame(Buffer.from('hello')) })
    expect(answered).toEqual({
      headers: [':status', '200', 'content-type', 'application/grpc'],
      body: frame(Buffer.from('hello!')),
      trailers: ['grpc-status', '0'],
      rstCode: 0,
    })
    expect(peer.calls).toHaveLength(0)
  })

  test.each([
    ['a ShimError', new FinalError('PolicyRefused', 'no: „50 %“\nsecond line'), 'no: „50 %“\nsecond line'],
    ['any other error', new Error('oops'), 'internal error: oops'],
    ['a value that is not an error', 'text', 'internal error: text'],
  ])('gets UNKNOWN and the message when the interceptor throws: %s', async (_what, thrown, message) => {
    interceptor = async () => {
      throw thrown
    }
    const answered = await client.call(PULL)
    expect([statusOf(answered), messageOf(answered), answered.trailers]).toEqual([2, message, []])
    expect(proxy.logLines()).toMatchObject([{ msg: 'call failed', path: PULL, grpcStatus: 2 }])
  })

  test('gets as much of a message of a megabyte as headers can hold', async () => {
    interceptor = async () => {
      throw new FinalError('BuilderFailed', 'ä%'.repeat(500_000))
    }
    const message = messageOf(await client.call(PULL))
    expect(message).toMatch(/^(ä%)+ä?\.\.\.%?(ä%)+$/)
    expect(Buffer.byteLength(message)).toBeGreaterThan(2000)
  })

  test('ends without an error if it is cancelled before its answer was read', async () => {
    interceptor = async () => ({ kind: 'reply', message: Buffer.alloc(32 << 20) })
    const stream = client.open(PULL)
    stream.end(frame(Buffer.alloc(0)))
    await once(stream, 'response')
    stream.close(8)
    await once(stream, 'close')
    interceptor = async () => ({ kind: 'reply', message: Buffer.from('alive') })
    expect((await client.call(PULL)).body).toEqual(frame(Buffer.from('alive')))
  })

  test('with a request above 16 MiB gets RESOURCE_EXHAUSTED', async () => {
    interceptor = async () => expect.unreachable('it is too large')
    const answered = await client.call(PULL, { body: frame(Buffer.alloc((16 << 20) + 1)) })
    expect([statusOf(answered), messageOf(answered)]).toEqual([8, expect.stringContaining('larger than max')])
  })
})

describe('a call that ends early', () => {
  test('by its deadline is answered with DEADLINE_EXCEEDED, and the interceptor is aborted', async () => {
    const aborted = vi.fn()
    interceptor = ({ signal }) => new Promise(() => signal.addEventListener('abort', aborted))
    const answered = await client.call(PULL, { headers: { 'grpc-timeout': '50m' } })
    expect([statusOf(answered), aborted.mock.calls.length]).toEqual([4, 1])
  })

  test.each(['cancels', 'hangs up'])('because the caller %s aborts the interceptor', async how => {
    let signal: AbortSignal | undefined
    interceptor = call => {
      signal = call.signal
      return new Promise(() => {})
    }
    const stream = client.open(PULL)
    stream.end(frame(Buffer.alloc(0)))
    await vi.waitUntil(() => signal !== undefined, PATIENT)
    if (how === 'cancels') stream.close(8)
    else client.session.destroy()
    await vi.waitUntil(() => signal?.aborted, PATIENT)
    await vi.waitUntil(() => proxy.logLines().length === 1, PATIENT)
    expect(proxy.logLines()).toMatchObject([{ msg: 'call cancelled', grpcStatus: 1 }])
  })

  test('does not reach containerd if the interceptor ends later', async () => {
    let release = () => {}
    interceptor = () =>
      new Promise(resolve => {
        release = () => resolve({ kind: 'forward' })
      })
    await client.call(PULL, { headers: { 'grpc-timeout': '50m' } })
    release()
    await client.call('/other')
    expect(peer.calls.map(({ headers }) => headers[':path'])).toEqual(['/other'])
  })
})

describe('a stream of a method of the shim', () => {
  test('sends each item as a message', async () => {
    handler = async function* ({ request }) {
      for (const text of ['a', 'b']) yield Buffer.concat([request, Buffer.from(text)])
    }
    const { body, trailers } = await client.call(WATCH, { body: frame(Buffer.from('>')) })
    expect(body).toEqual(Buffer.concat([frame(Buffer.from('>a')), frame(Buffer.from('>b'))]))
    expect(trailers).toEqual(['grpc-status', '0'])
  })

  test('has the failure in its trailers', async () => {
    handler = async function* () {
      yield Buffer.from('a')
      throw new FinalError('BuilderFailed', 'it broke')
    }
    const answered = await client.call(WATCH)
    expect([answered.body, statusOf(answered), messageOf(answered)]).toEqual([frame(Buffer.from('a')), 2, 'it broke'])
    expect(valuesOf(answered.trailers, ERROR_CODE_HEADER)).toEqual(['BuilderFailed'])
  })

  test('makes no more items than the caller reads, and ends when the caller leaves', async () => {
    let made = 0
    let ended = false
    handler = async function* () {
      try {
        for (;;) {
          made += 1
          yield Buffer.alloc(1 << 18)
        }
      } finally {
        ended = true
      }
    }
    const stream = client.open(WATCH)
    stream.end(frame(Buffer.alloc(0)))
    const closed = readAnswer(stream)
    stream.pause()
    await vi.waitUntil(() => made > 1, PATIENT)
    stream.close(8)
    await closed
    await vi.waitUntil(() => ended, PATIENT)
    expect(made).toBeLessThan(20)
  })
})
