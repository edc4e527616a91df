import type { OutgoingHttpHeaders, ServerStreamResponseOptions } from 'node:http2'
import { describe, expect, test, vi } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { frame, readAnswer, statusOf, valuesOf } from './raw-client.ts'
import { answer } from './raw-peer.ts'
import { PATH, useWire } from './wire.ts'

const wire = useWire()

describe('metadata', () => {
  const values = ['AAEC/w==', 'AAEC', '']
  const repeated: OutgoingHttpHeaders = { 'x-data-bin': values, 'x-text': ['a', 'b, c'], date: 'never' }
  // HTTP allows it only once, gRPC more often.
  Object.assign(repeated, { authorization: ['Bearer 1', 'Bearer 2'] })
  const readBack = (raw: readonly string[]) => Object.keys(repeated).map(name => valuesOf(raw, name))
  const expected = Object.values(repeated).map(value => [value].flat())

  test('of the request arrives with every value, in order', async () => {
    wire.onCall = ({ stream }) => answer(stream, frame(Buffer.alloc(0)))
    await wire.client.call(PATH, { headers: { ...repeated, traceparent: '00-1-2-01' } })
    const [call] = wire.peer.calls
    expect(readBack(call?.raw ?? [])).toEqual(expected)
    expect(valuesOf(call?.raw ?? [], 'traceparent')).toEqual(['00-1-2-01'])
  })

  test('of the answer and its trailers arrives with every value, in order', async () => {
    wire.onCall = ({ stream }) => {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...repeated }))
      stream.respond({ ':status': 200, ...repeated }, { waitForTrailers: true })
      stream.end(frame(Buffer.from('x')))
    }
    const { headers, trailers } = await wire.client.call(PATH)
    expect([readBack(headers), readBack(trailers)]).toEqual([expected, expected])
  })

  test('of an answer gets nothing added', async () => {
    wire.onCall = ({ stream }) =>
      stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true, ...NO_DATE })
    const answered = await wire.client.call(PATH, { headers: { ':authority': 'somebody' } })
    expect(answered.headers).toEqual([':status', '200', 'grpc-status', '5'])
    expect(wire.peer.calls[0]?.raw).toEqual([
      ...[':method', 'POST', ':path', PATH, ':authority', 'somebody', ':scheme', 'http'],
      ...['content-type', 'application/grpc', 'te', 'trailers'],
    ])
  })

  test('of 100 kB and 1000 fields passes', async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`x-${index}`, 'v'.repeat(100)]))
    wire.onCall = ({ stream, raw }) => {
      const echoed = Object.fromEntries(Object.keys(many).map(name => [name, valuesOf(raw, name)]))
      stream.respond({ ':status': 200, 'grpc-status': '0', ...echoed }, { endStream: true })
    }
    const { headers } = await wire.client.call(PATH, { headers: many })
    expect(Object.keys(many).map(name => valuesOf(headers, name)[0])).toEqual(Object.values(many))
  })
})

describe('answers', () => {
  test('with status details keep them', async () => {
    const trailers = { 'grpc-status': '9', 'grpc-message': 'caf%C3%A9', 'grpc-status-details-bin': 'CAkSA2ZvbwAB/w' }
    wire.onCall = ({ stream }) => answer(stream, Buffer.alloc(0), trailers)
    const answered = await wire.client.call(PATH)
    expect(answered.trailers).toEqual(Object.entries(trailers).flat())
  })

  test('that are not gRPC pass: another HTTP status, a body without trailers', async () => {
    wire.onCall = ({ stream }) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' }, NO_DATE)
      stream.end('<h1>busy</h1>')
    }
    const { headers, body, trailers } = await wire.client.call(PATH)
    expect(headers).toEqual([':status', '503', 'content-type', 'text/html'])
    expect([body.toString(), trailers]).toEqual(['<h1>busy</h1>', []])
  })

  test('whose headers come long before the first message have them forwarded immediately', async () => {
    wire.onCall = ({ stream }) => stream.respond({ ':status': 200, 'x-initial': 'yes' })
    const stream = wire.client.open(PATH)
    const headers = await new Promise<readonly string[]>(resolve =>
      stream.on('response', (_h, _f, raw) => resolve(raw)),
    )
    expect(valuesOf(headers, 'x-initial')).toEqual(['yes'])
  })

  test('that come before the request is whole end the call on both sides', async () => {
    wire.onCall = ({ stream }) => {
      stream.respond({ ':status': 200, 'grpc-status': '8' }, { endStream: true })
    }
    const stream = wire.client.open(PATH)
    stream.write(frame(Buffer.alloc(100_000)))
    const answered = await readAnswer(stream)
    expect([statusOf(answered), answered.rstCode]).toEqual([8, 0])
    await vi.waitUntil(() => wire.peer.calls[0]?.stream.destroyed, PATIENT)
  })
})

test('the log has one line for a failed call, without the request and its credentials', async () => {
  wire.onCall = ({ stream }) =>
    stream.respond({ ':status': 200, 'grpc-status': '7', 'grpc-message': 'no%21' }, { endStream: true })
  await wire.client.call(PATH, { headers: { authorization: 'Bearer secret' }, body: frame(Buffer.from('secret')) })
  await wire.client.call(PATH, { headers: { authorization: 'Bearer secret' } })
  const lines = wire.proxy.logLines()
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatchObject({ msg: 'call failed', path: PATH, grpcStatus: 7, grpcMessage: 'no!' })
  expect(JSON.stringify(lines)).not.toContain('secret')
})

const NO_DATE: ServerStreamResponseOptions & { sendDate: boolean } = { sendDate: false }
