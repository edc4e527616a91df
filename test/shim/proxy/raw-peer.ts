import { once } from 'node:events'
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { OPTIONS } from './raw-client.ts'

export interface PeerCall {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly raw: readonly string[]
  readonly session: ServerHttp2Session
}

export interface Peer extends AsyncDisposable {
  /** Calls that arrived so far. */
  readonly calls: readonly PeerCall[]
  readonly sessions: ReadonlySet<ServerHttp2Session>
}

/** A server in containerd's place that does on the wire what containerd does not do, or not at the right moment. */
export async function startPeer(socketPath: string, onCall: (call: PeerCall) => void): Promise<Peer> {
  const server = http2.createServer(OPTIONS)
  const calls: PeerCall[] = []
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', session => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers, _flags, raw) => {
    stream.on('error', () => {})
    const session = stream.session
    if (!(session && 'server' in session)) throw new Error('a server stream has a server session')
    const call = { stream, headers, raw, session: session as ServerHttp2Session }
    calls.push(call)
    onCall(call)
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    calls,
    sessions,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}

/** Answers a call as a gRPC server does: headers, bytes, trailers. */
export function answer(stream: ServerHttp2Stream, body: Buffer, trailers: http2.OutgoingHttpHeaders = {}): void {
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...trailers }))
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.end(body)
}

export async function readAll(stream: ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
