import { constants, type OutgoingHttpHeaders, type ServerStreamResponseOptions } from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import { setImmediate as tick } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseTimeout } from '../../../shim/proxy/deadline.ts'
import { PATIENT } from '../../patience.ts'
import { connectRaw, frame, messageOf, type RawClient, readAnswer, statusOf, valuesOf } from './raw-client.ts'
import { answer, type Peer, type PeerCall, readAll, startPeer } from './raw-peer.ts'
import { type RunningProxy, startProxy, tempFolder } from './start-proxy.ts'

// containerd never sends most of this, or not when a test wants it; so an HTTP/2 server of the test stands in its place.

const PATH = '/example.Service/Method'
const READ = '/runtime.v1.ImageService/ListImages'
const stack = { value: new AsyncDisposableStack() }

let peer: Peer
let proxy: RunningProxy
let client: RawClient
let onCall: (call: PeerCall) => void

beforeEach(async () => {
  const folder = stack.value.use(await tempFolder())
  const upstream = join(folder.dir, 'peer.sock')
  peer = stack.value.use(await startPeer(upstream, call => onCall(call)))
  proxy = stack.value.use(await startProxy({ upstream }))
  client = stack.value.use(await connectRaw(proxy.socket))
})

afterEach(async () => {
  await stack.value.disposeAsync()
  stack.value = new AsyncDisposableStack()
})

describe('metadata', () => {
  const values = ['AAEC/w==', 'AAEC', '']
  const repeated: OutgoingHttpHeaders = { 'x-data-bin': values, 'x-text': ['a', 'b, c'], date: 'never' }
  // HTTP allows it once, gRPC does not care.
  Object.assign(repeated, { authorization: ['Bearer 1', 'Bearer 2'] })
  const readBack = (raw: readonly string[]) => Object.keys(repeated).map(name => valuesOf(raw, name))
  const expected = Object.values(repeated).map(value => [value].flat())

  test('of the request arrives with every value, in order', async () => {
    onCall = ({ stream }) => answer(stream, frame(Buffer.alloc(0)))
    await client.call(PATH, { headers: { ...repeated, traceparent: '00-1-2-01' } })
    const [call] = peer.calls
    expect(readBack(call?.raw ?? [])).toEqual(expected)
    expect(valuesOf(call?.raw ?? [], 'traceparent')).toEqual(['00-1-2-01'])
  })

  test('of the answer and its trailers arrives with every value, in order', async () => {
    onCall = ({ stream }) => {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...repeated }))
      stream.respond({ ':status': 200, ...repeated }, { waitForTrailers: true })
      stream.end(frame(Buffer.from('x')))
    }
    const { headers, trailers } = await client.call(PATH)
    expect([readBack(headers), readBack(trailers)]).toEqual([expected, expected])
  })

  test('of an answer gets nothing added', async () => {
    onCall = ({ stream }) => stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true, ...NO_DATE })
    const answered = await client.call(PATH, { headers: { ':authority': 'somebody' } })
    expect(answered.headers).toEqual([':status', '200', 'grpc-status', '5'])
    expect(peer.calls[0]?.raw).toEqual([
      ...[':method', 'POST', ':path', PATH, ':authority', 'somebody', ':scheme', 'http'],
      ...['content-type', 'application/grpc', 'te', 'trailers'],
    ])
  })

  test('of 100 kB and 1000 fields passes', async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`x-${index}`, 'v'.repeat(100)]))
    onCall = ({ stream, raw }) => {
      const echoed = Object.fromEntries(Object.keys(many).map(name => [name, valuesOf(raw, name)]))
      stream.respond({ ':status': 200, 'grpc-status': '0', ...echoed }, { endStream: true })
    }
    const { headers } = await client.call(PATH, { headers: many })
    expect(Object.keys(many).map(name => valuesOf(headers, name)[0])).toEqual(Object.values(many))
  })
})

describe('answers', () => {
  test('with status details keep them', async () => {
    const trailers = { 'grpc-status': '9', 'grpc-message': 'caf%C3%A9', 'grpc-status-details-bin': 'CAkSA2ZvbwAB/w' }
    onCall = ({ stream }) => answer(stream, Buffer.alloc(0), trailers)
    const answered = await client.call(PATH)
    expect(answered.trailers).toEqual(Object.entries(trailers).flat())
  })

  test('that are not gRPC pass: another HTTP status, a body without trailers', async () => {
    onCall = ({ stream }) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' }, NO_DATE)
      stream.end('<h1>busy</h1>')
    }
    const { headers, body, trailers } = await client.call(PATH)
    expect(headers).toEqual([':status', '503', 'content-type', 'text/html'])
    expect([body.toString(), trailers]).toEqual(['<h1>busy</h1>', []])
  })

  test('whose headers come long before the first message have them forwarded immediately', async () => {
    onCall = ({ stream }) => stream.respond({ ':status': 200, 'x-initial': 'yes' })
    const stream = client.open(PATH)
    const headers = await new Promise<readonly string[]>(resolve =>
      stream.on('response', (_h, _f, raw) => resolve(raw)),
    )
    expect(valuesOf(headers, 'x-initial')).toEqual(['yes'])
  })

  test('that come before the request is whole end the call on both sides', async () => {
    onCall = ({ stream }) => {
      stream.respond({ ':status': 200, 'grpc-status': '8' }, { endStream: true })
    }
    const stream = client.open(PATH)
    stream.write(frame(Buffer.alloc(100_000)))
    const answered = await readAnswer(stream)
    expect([statusOf(answered), answered.rstCode]).toEqual([8, 0])
    await vi.waitUntil(() => peer.calls[0]?.stream.destroyed)
  })
})

describe('messages', () => {
  test('of 40 MiB pass in both directions unchanged', async () => {
    const message = Buffer.alloc(40 * 1024 * 1024, 'abcdefg')
    onCall = async ({ stream }) => answer(stream, await readAll(stream))
    const answered = await client.call(PATH, { body: frame(message) })
    expect(answered.body.equals(frame(message))).toBe(true)
  })

  test('of a bidirectional stream go back and forth', async () => {
    onCall = ({ stream }) => {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.pipe(stream)
    }
    const stream = client.open(PATH)
    const answered = readAnswer(stream)
    for (const text of ['one', 'two', 'three']) {
      const back = new Promise<Buffer>(resolve => stream.once('data', resolve))
      await new Promise(resolve => stream.write(frame(Buffer.from(text)), resolve))
      expect((await back).subarray(5).toString()).toBe(text)
    }
    stream.end()
    expect(statusOf(await answered)).toBe(0)
  })
})

describe('back-pressure', () => {
  // Windows of both connections and the buffers of node's streams between them.
  const BETWEEN_BYTES = 8 * 1024 * 1024
  const CHUNK = Buffer.alloc(64 * 1024)

  test('of a caller that does not read reaches containerd', async () => {
    let sent = 0
    onCall = ({ stream }) => {
      stream.respond({ ':status': 200 })
      const write = () => {
        do sent += CHUNK.length
        while (stream.write(CHUNK))
      }
      stream.on('drain', write)
      write()
    }
    const stream = client.open(PATH)
    stream.pause()
    await settled(() => sent)
    expect(sent).toBeLessThan(BETWEEN_BYTES)
    const stopped = sent
    stream.on('data', () => {}).resume()
    await vi.waitUntil(() => sent > stopped + 4 * BETWEEN_BYTES, PATIENT)
  })

  test('of a server that does not read reaches the caller', async () => {
    onCall = ({ stream }) => stream.pause()
    const stream = client.open(PATH)
    let sent = 0
    const write = () => {
      do sent += CHUNK.length
      while (stream.write(CHUNK))
    }
    stream.on('drain', write)
    write()
    await settled(() => sent)
    expect(sent).toBeLessThan(BETWEEN_BYTES)
    const stopped = sent
    peer.calls[0]?.stream
      .on('data', () => {})
      .resume()
      .resume()
    await vi.waitUntil(() => sent > stopped + 4 * BETWEEN_BYTES, PATIENT)
  })

  test('of one call does not hold up others', async () => {
    onCall = ({ stream, headers }) => {
      if (headers['x-slow'] !== 'yes') answer(stream, frame(Buffer.from('quick')))
      else {
        stream.respond({ ':status': 200 })
        stream.write(Buffer.alloc(32 * 1024 * 1024))
      }
    }
    const slow = Array.from({ length: 10 }, () => client.open(PATH, { 'x-slow': 'yes' }))
    for (const stream of slow) stream.pause()
    await vi.waitUntil(() => peer.calls.length === slow.length)
    const { body } = await client.call(PATH)
    expect(body.subarray(5).toString()).toBe('quick')
  })
})

describe('a reset', () => {
  const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = constants

  test.each([NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM])(
    'by the caller with code %i reaches containerd with that code',
    async code => {
      onCall = () => {}
      const stream = client.open(PATH)
      await vi.waitUntil(() => peer.calls.length === 1)
      stream.close(code)
      await vi.waitUntil(() => peer.calls[0]?.stream.closed)
      expect(peer.calls[0]?.stream.rstCode).toBe(code)
    },
  )

  test.each([NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM])(
    'by containerd with code %i reaches the caller with that code',
    async code => {
      onCall = ({ stream }) => stream.close(code)
      const { rstCode, headers } = await client.call(PATH)
      expect([rstCode, headers]).toEqual([code, []])
    },
  )

  test('in the middle of an answer reaches the caller', async () => {
    onCall = async ({ stream }) => {
      // Without a wish for trailers node would end the stream in order before it resets it.
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.write(frame(Buffer.from('first')))
      await tick()
      stream.close(NGHTTP2_INTERNAL_ERROR)
    }
    const { rstCode, headers } = await client.call(PATH)
    expect([rstCode, headers]).toEqual([NGHTTP2_INTERNAL_ERROR, expect.arrayContaining(['200'])])
  })

  test('of a caller that hangs up cancels all of its calls', async () => {
    onCall = () => {}
    for (let count = 0; count < 5; count += 1) client.open(PATH)
    await vi.waitUntil(() => peer.calls.length === 5)
    client.session.destroy()
    await vi.waitUntil(() => peer.calls.every(({ stream }) => stream.rstCode === NGHTTP2_CANCEL))
  })

  test('with REFUSED_STREAM makes the proxy send the call again, whatever its method', async () => {
    onCall = ({ stream }) => {
      if (peer.calls.length <= 3) stream.close(NGHTTP2_REFUSED_STREAM)
      else readAll(stream).then(body => answer(stream, body))
    }
    const { body } = await client.call(PATH, { body: frame(Buffer.from('kept')) })
    expect([body.subarray(5).toString(), peer.calls.length]).toEqual(['kept', 4])
  })
})

describe('a lost connection', () => {
  const DELAYED = { 'grpc-timeout': '60S' }

  test('with GOAWAY lets running calls end, and new ones go over a new connection', async () => {
    let release = () => {}
    onCall = ({ stream, session }) => {
      if (peer.calls.length > 1) return answer(stream, Buffer.from('second'))
      session.close()
      release = () => answer(stream, Buffer.from('first'))
    }
    const first = client.call(PATH)
    await vi.waitUntil(() => peer.calls.length === 1)
    const second = await client.call(PATH)
    release()
    expect([(await first).body.toString(), second.body.toString()]).toEqual(['first', 'second'])
    expect(peer.calls[0]?.session === peer.calls[1]?.session).toBe(false)
  })

  test('with GOAWAY is logged with its code, whichever side has sent it', async () => {
    onCall = ({ stream, session }) => {
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      answer(stream, Buffer.from('last'))
    }
    await client.call(PATH)
    const socket = net.connect(proxy.socket)
    // Data of no stream, which HTTP/2 has not.
    socket
      .on('error', () => {})
      .write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0x', 'latin1'))
    await vi.waitFor(() => {
      expect(proxy.logLines()).toContainEqual(expect.objectContaining({ msg: 'containerd said GOAWAY', code: 11 }))
      expect(proxy.logLines()).toContainEqual(
        expect.objectContaining({ msg: "a caller's connection was ended with GOAWAY", level: 40 }),
      )
    }, PATIENT)
  })

  test('makes a call that only reads start again, unnoticed by its caller', async () => {
    onCall = ({ stream, session }) => {
      if (peer.calls.length === 1) session.destroy()
      else readAll(stream).then(body => answer(stream, body))
    }
    const { body } = await client.call(READ, { headers: DELAYED, body: frame(Buffer.from('kept')) })
    expect([body.subarray(5).toString(), peer.calls.length]).toEqual(['kept', 2])
  })

  test('ends a call that may have changed something with UNAVAILABLE', async () => {
    onCall = ({ session }) => session.destroy()
    const answered = await client.call(PATH)
    expect([statusOf(answered), messageOf(answered), peer.calls.length]).toEqual([
      14,
      'containerd went away during the call',
      1,
    ])
  })

  test('ends a call in the middle of its answer with UNAVAILABLE in the trailers, and does not send it again', async () => {
    onCall = async ({ stream, session }) => {
      stream.respond({ ':status': 200 })
      await new Promise(resolve => stream.write(frame(Buffer.from('first')), resolve))
      client.session.ping(() => session.destroy())
    }
    const answered = await client.call(READ)
    expect([statusOf(answered), peer.calls.length]).toEqual([14, 1])
  })

  test('ends a call whose request is too large to be kept', async () => {
    onCall = async ({ stream, session }) => {
      await readAll(stream)
      session.destroy()
    }
    const answered = await client.call(READ, { body: frame(Buffer.alloc(2 * 1024 * 1024)) })
    expect([statusOf(answered), peer.calls.length]).toEqual([14, 1])
  })

  test('shortens the deadline for containerd by the time that the call has already taken', async () => {
    onCall = ({ stream, session }) => {
      if (peer.calls.length < 4) session.destroy()
      else answer(stream, Buffer.alloc(0))
    }
    await client.call(READ, { headers: DELAYED })
    const [first = 0, , , last = 0] = peer.calls.map(({ headers }) => parseTimeout(String(headers['grpc-timeout'])))
    expect(first).toBeLessThanOrEqual(60_000)
    expect(last).toBeGreaterThan(0)
    expect(last).toBeLessThan(first)
  })
})

describe('an answer that says "not yet"', () => {
  test.each([
    ['a CRI plugin that starts', PATH, '2', 'server is not initialized yet'],
    ['a server that stops', READ, '14', 'transport is closing'],
  ])('of %s makes the proxy send the call again', async (_what, path, code, message) => {
    onCall = ({ stream }) => {
      if (peer.calls.length > 2) answer(stream, Buffer.from('at last'))
      else stream.respond({ ':status': 200, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
    }
    expect((await client.call(path)).body.toString()).toBe('at last')
  })

  test.each([
    ['UNAVAILABLE for a call that may have changed something', PATH, '14', 'transport is closing'],
    ['any other error', READ, '2', 'no such thing'],
  ])('reaches the caller: %s', async (_what, path, code, message) => {
    onCall = ({ stream }) => {
      stream.respond({ ':status': 200, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
    }
    const answered = await client.call(path)
    expect([statusOf(answered), messageOf(answered), peer.calls.length]).toEqual([Number(code), message, 1])
  })
})

test('the log has one line for a failed call, without the request and its credentials', async () => {
  onCall = ({ stream }) =>
    stream.respond({ ':status': 200, 'grpc-status': '7', 'grpc-message': 'no%21' }, { endStream: true })
  await client.call(PATH, { headers: { authorization: 'Bearer secret' }, body: frame(Buffer.from('secret')) })
  await client.call(PATH, { headers: { authorization: 'Bearer secret' } })
  const lines = proxy.logLines()
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatchObject({ msg: 'call failed', path: PATH, grpcStatus: 7, grpcMessage: 'no!' })
  expect(JSON.stringify(lines)).not.toContain('secret')
})

const NO_DATE: ServerStreamResponseOptions & { sendDate: boolean } = { sendDate: false }

/** Resolves when a count has not moved for a good while: there is no event for "nothing more comes". */
async function settled(count: () => number): Promise<void> {
  let last = -1
  await vi.waitUntil(
    () => {
      const still = count() === last && last > 0
      last = count()
      return still
    },
    { interval: 200, timeout: 10_000 },
  )
}
