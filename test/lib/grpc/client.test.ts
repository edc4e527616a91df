import { mkdtemp, rm } from 'node:fs/promises'
import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClient, type GrpcClient } from '../../../lib/grpc/client.ts'
import { frameHeader, frameMessage } from '../../../lib/grpc/frames.ts'
import type { Method } from '../../../lib/grpc/service.ts'
import { PATIENT } from '../../patience.ts'

// containerd follows the protocol. Answers that break it need a server of our own.
let dir: string
let client: GrpcClient
let answer: (stream: ServerHttp2Stream) => void
const sessions = new Set<ServerHttp2Session>()
const server = createServer()
server.on('session', session => sessions.add(session))
server.on('stream', stream => {
  stream.on('error', () => {})
  answer(stream)
})

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-calls-'))
  const socket = join(dir, 'socket')
  await new Promise<void>(resolve => server.listen(socket, resolve))
  client = createClient(socket, { headers: { 'x-tenant': 'us' } })
})
afterEach(async () => {
  client[Symbol.dispose]()
  for (const session of sessions) session.destroy()
  sessions.clear()
  await new Promise(resolve => server.close(resolve))
  await rm(dir, { recursive: true })
})

const ECHO: Method<{ text: string }, string> = {
  path: '/test.Echo/Say',
  requestSerialize: ({ text }) => Buffer.from(text),
  responseDeserialize: bytes => bytes.toString(),
}
const say = (text: string) => client.unary(ECHO, { text }, { timeoutMs: 2_000 })

const trailers = (stream: ServerHttp2Stream, fields: Record<string, string>) => {
  stream.on('wantTrailers', () => stream.sendTrailers(fields))
}

/** Sends the parts as the body of an answer whose status is OK. */
function respond(stream: ServerHttp2Stream, ...parts: Buffer[]): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  trailers(stream, { 'grpc-status': '0' })
  for (const part of parts) stream.write(part)
  stream.end()
}

describe('a gRPC call', () => {
  it('reads a message that arrives in pieces', async () => {
    const body = Buffer.concat([frameHeader(5), Buffer.from('hello')])
    answer = stream => respond(stream, body.subarray(0, 3), body.subarray(3, 7), body.subarray(7))
    expect(await say('x')).toBe('hello')
  })

  it('throws the error of an answer without messages, with its text decoded', async () => {
    answer = stream =>
      stream.respond(
        { ':status': 200, 'grpc-status': '5', 'grpc-message': 'no such thing: %C3%A9' },
        { endStream: true },
      )
    await expect(say('x')).rejects.toMatchObject({ status: 5, details: 'no such thing: é', method: 'test.Echo/Say' })
  })

  it('leaves a text unchanged that cannot be decoded', async () => {
    answer = stream =>
      stream.respond({ ':status': 200, 'grpc-status': '2', 'grpc-message': '100%' }, { endStream: true })
    await expect(say('x')).rejects.toMatchObject({ details: '100%' })
  })

  it.each(['after', 'before'])(
    'fails if the client is closed %s it has connected, and no connection is left',
    async when => {
      answer = stream => respond(stream, frameHeader(5), Buffer.from('hello'))
      if (when === 'after') await say('x')
      const call = when === 'before' && say('x')
      client[Symbol.dispose]()
      if (call) await expect(call).rejects.toThrow()
      await expect(say('x')).rejects.toMatchObject({ status: 14 })
      const count = () => new Promise(resolve => server.getConnections((_, open) => resolve(open)))
      await expect.poll(count, PATIENT).toBe(0)
    },
  )

  it('ends if there is no answer in time', async () => {
    answer = () => {}
    await expect(client.unary(ECHO, { text: 'x' }, { timeoutMs: 100 })).rejects.toMatchObject({ status: 4 })
  })

  it('fails as UNAVAILABLE if the connection breaks off', async () => {
    answer = stream => stream.session?.destroy()
    await expect(say('x')).rejects.toMatchObject({ status: 14 })
  })

  it('opens a new connection after one that broke off', async () => {
    answer = stream => stream.session?.destroy()
    await say('x').catch(() => {})
    answer = stream => respond(stream, frameHeader(0))
    expect(await say('x')).toBe('')
  })

  it.each([
    ['no message', []],
    ['a message cut short', [frameHeader(10), Buffer.from('short')]],
    ['a compressed message', [Buffer.from([1, 0, 0, 0, 0])]],
    ['a message that is too long', [frameHeader(17 * 1024 * 1024)]],
  ])('rejects an answer with %s', async (_, parts) => {
    answer = stream => respond(stream, ...parts)
    await expect(say('x')).rejects.toThrow(/no answer|cut short|compressed|has 17825792 bytes/)
  })

  it('throws the reason of its cancellation, and cancels the call on the server', async () => {
    const cancel = new AbortController()
    const code = new Promise(resolve => {
      answer = stream => {
        stream.on('close', () => resolve(stream.rstCode))
        cancel.abort(new Error('not wanted'))
      }
    })
    const call = client.within({ signal: cancel.signal }).unary(ECHO, { text: 'x' })
    await expect(call).rejects.toThrow('not wanted')
    expect(await code).toBe(constants.NGHTTP2_CANCEL)
  })

  it('sends the headers of every scope', async () => {
    const headers = new Promise(resolve => {
      server.once('stream', (_, received) => resolve(received))
    })
    answer = stream => respond(stream, frameHeader(0))
    await client.within({ headers: { 'x-lease': 'mine' } }).unary(ECHO, { text: 'x' })
    expect(await headers).toMatchObject({ 'x-tenant': 'us', 'x-lease': 'mine' })
  })

  it('reads the answers of a stream as they come, and cancels the call once its reader has seen enough', async () => {
    const code = new Promise(resolve => {
      answer = stream => {
        stream.on('close', () => resolve(stream.rstCode))
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        for (const text of ['one', 'two']) stream.write(frameMessage(Buffer.from(text)))
      }
    })
    const read: string[] = []
    for await (const text of client.serverStream(ECHO, { text: 'x' })) if (read.push(text) === 2) break
    expect(read).toEqual(['one', 'two'])
    expect(await code).toBe(constants.NGHTTP2_CANCEL)
  })

  it('has the headers that a server sends with its error', async () => {
    answer = stream => stream.respond({ ':status': 200, 'grpc-status': '2', 'x-code': 'Broken' }, { endStream: true })
    await expect(say('x')).rejects.toMatchObject({ headers: { 'x-code': 'Broken' } })
  })

  it('fails without a wait if no server listens and connectTimeoutMs is 0', async () => {
    using impatient = createClient(join(dir, 'none'), { connectTimeoutMs: 0 })
    await expect(impatient.unary(ECHO, { text: 'x' })).rejects.toMatchObject({ status: 14 })
  })
})
