import { constants } from 'node:http2'
import net from 'node:net'
import { setImmediate as tick } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { parseTimeout } from '../../../shim/proxy/deadline.ts'
import { PATIENT } from '../../patience.ts'
import { frame, messageOf, statusOf } from './raw-client.ts'
import { answer, readAll } from './raw-peer.ts'
import { PATH, READ, useWire } from './wire.ts'

const wire = useWire()

describe('a reset', () => {
  const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = constants

  test.each([NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM])(
    'by the caller with code %i reaches containerd with that code',
    async code => {
      wire.onCall = () => {}
      const stream = wire.client.open(PATH)
      await vi.waitUntil(() => wire.peer.calls.length === 1, PATIENT)
      stream.close(code)
      await vi.waitUntil(() => wire.peer.calls[0]?.stream.closed, PATIENT)
      expect(wire.peer.calls[0]?.stream.rstCode).toBe(code)
    },
  )

  test.each([NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM])(
    'by containerd with code %i reaches the caller with that code',
    async code => {
      wire.onCall = ({ stream }) => stream.close(code)
      const { rstCode, headers } = await wire.client.call(PATH)
      expect([rstCode, headers]).toEqual([code, []])
    },
  )

  test('in the middle of an answer reaches the caller', async () => {
    wire.onCall = async ({ stream }) => {
      // Without `waitForTrailers`, node would end the stream in order before it resets it.
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.write(frame(Buffer.from('first')))
      await tick()
      stream.close(NGHTTP2_INTERNAL_ERROR)
    }
    const { rstCode, headers } = await wire.client.call(PATH)
    expect([rstCode, headers]).toEqual([NGHTTP2_INTERNAL_ERROR, expect.arrayContaining(['200'])])
  })

  test('of a caller that hangs up cancels all of its calls', async () => {
    wire.onCall = () => {}
    for (let count = 0; count < 5; count += 1) wire.client.open(PATH)
    await vi.waitUntil(() => wire.peer.calls.length === 5, PATIENT)
    wire.client.session.destroy()
    await vi.waitUntil(() => wire.peer.calls.every(({ stream }) => stream.rstCode === NGHTTP2_CANCEL), PATIENT)
  })

  test('with REFUSED_STREAM makes the proxy send the call again, whatever its method', async () => {
    wire.onCall = ({ stream }) => {
      if (wire.peer.calls.length <= 3) stream.close(NGHTTP2_REFUSED_STREAM)
      else readAll(stream).then(body => answer(stream, body))
    }
    const { body } = await wire.client.call(PATH, { body: frame(Buffer.from('kept')) })
    expect([body.subarray(5).toString(), wire.peer.calls.length]).toEqual(['kept', 4])
  })
})

describe('a lost connection', () => {
  const DELAYED = { 'grpc-timeout': '60S' }

  test('with GOAWAY lets running calls end, and new ones go over a new connection', async () => {
    let release = () => {}
    wire.onCall = ({ stream, session }) => {
      if (wire.peer.calls.length > 1) return answer(stream, Buffer.from('second'))
      session.close()
      release = () => answer(stream, Buffer.from('first'))
    }
    const first = wire.client.call(PATH)
    await vi.waitUntil(() => wire.peer.calls.length === 1, PATIENT)
    const second = await wire.client.call(PATH)
    release()
    expect([(await first).body.toString(), second.body.toString()]).toEqual(['first', 'second'])
    expect(wire.peer.calls[0]?.session === wire.peer.calls[1]?.session).toBe(false)
  })

  test('with GOAWAY is logged with its code, whichever side has sent it', async () => {
    wire.onCall = ({ stream, session }) => {
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      answer(stream, Buffer.from('last'))
    }
    await wire.client.call(PATH)
    const socket = net.connect(wire.proxy.socket)
    // Data of stream 0, which HTTP/2 does not allow.
    socket
      .on('error', () => {})
      .write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0x', 'latin1'))
    await vi.waitFor(() => {
      expect(wire.proxy.logLines()).toContainEqual(expect.objectContaining({ msg: 'containerd said GOAWAY', code: 11 }))
      expect(wire.proxy.logLines()).toContainEqual(
        expect.objectContaining({ msg: "a caller's connection was ended with GOAWAY", level: 40 }),
      )
    }, PATIENT)
  })

  test('makes a call that only reads start again, unnoticed by its caller', async () => {
    wire.onCall = ({ stream, session }) => {
      if (wire.peer.calls.length === 1) session.destroy()
      else readAll(stream).then(body => answer(stream, body))
    }
    const { body } = await wire.client.call(READ, { headers: DELAYED, body: frame(Buffer.from('kept')) })
    expect([body.subarray(5).toString(), wire.peer.calls.length]).toEqual(['kept', 2])
  })

  test('ends a call that may have changed something with UNAVAILABLE', async () => {
    wire.onCall = ({ session }) => session.destroy()
    const answered = await wire.client.call(PATH)
    expect([statusOf(answered), messageOf(answered), wire.peer.calls.length]).toEqual([
      14,
      'containerd went away during the call',
      1,
    ])
  })

  test('ends a call in the middle of its answer with UNAVAILABLE in the trailers, and does not send it again', async () => {
    wire.onCall = async ({ stream, session }) => {
      stream.respond({ ':status': 200 })
      await new Promise(resolve => stream.write(frame(Buffer.from('first')), resolve))
      wire.client.session.ping(() => session.destroy())
    }
    const answered = await wire.client.call(READ)
    expect([statusOf(answered), wire.peer.calls.length]).toEqual([14, 1])
  })

  test('ends a call whose request is too large to be kept', async () => {
    wire.onCall = async ({ stream, session }) => {
      await readAll(stream)
      session.destroy()
    }
    const answered = await wire.client.call(READ, { body: frame(Buffer.alloc(2 * 1024 * 1024)) })
    expect([statusOf(answered), wire.peer.calls.length]).toEqual([14, 1])
  })

  test('shortens the deadline for containerd by the time that the call has already taken', async () => {
    wire.onCall = ({ stream, session }) => {
      if (wire.peer.calls.length < 4) session.destroy()
      else answer(stream, Buffer.alloc(0))
    }
    await wire.client.call(READ, { headers: DELAYED })
    const [first = 0, , , last = 0] = wire.peer.calls.map(({ headers }) =>
      parseTimeout(String(headers['grpc-timeout'])),
    )
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
    wire.onCall = ({ stream }) => {
      if (wire.peer.calls.length > 2) answer(stream, Buffer.from('at last'))
      else stream.respond({ ':status': 200, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
    }
    expect((await wire.client.call(path)).body.toString()).toBe('at last')
  })

  test.each([
    ['UNAVAILABLE for a call that may have changed something', PATH, '14', 'transport is closing'],
    ['any other error', READ, '2', 'no such thing'],
  ])('reaches the caller: %s', async (_what, path, code, message) => {
    wire.onCall = ({ stream }) => {
      stream.respond({ ':status': 200, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
    }
    const answered = await wire.client.call(path)
    expect([statusOf(answered), messageOf(answered), wire.peer.calls.length]).toEqual([Number(code), message, 1])
  })
})
