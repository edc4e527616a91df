import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import net from 'node:net'

/** Everything of an answer that goes over the wire; raw headers alternate names and values. */
export interface RawAnswer {
  readonly headers: readonly string[]
  readonly body: Buffer
  readonly trailers: readonly string[]
  readonly rstCode: number
}

export interface RawCall {
  readonly headers?: OutgoingHttpHeaders
  /** Bytes of the request, frame headers included. */
  readonly body?: Buffer
}

export interface RawClient extends Disposable {
  readonly session: ClientHttp2Session
  /** Opens a call and leaves its two directions to the caller. */
  open(path: string, headers?: OutgoingHttpHeaders): ClientHttp2Stream
  call(path: string, call?: RawCall): Promise<RawAnswer>
}

/** Raises Node's limits for tests with large messages and with metadata that repeats a name. */
export const OPTIONS = {
  settings: { initialWindowSize: 1024 * 1024, maxHeaderListSize: 1024 * 1024 },
  maxSendHeaderBlockLength: 1024 * 1024,
  maxHeaderListPairs: 5000,
  maxSessionMemory: 1000,
  strictSingleValueFields: false,
}

/** A client that shows the wire as it is, where a gRPC library would interpret it. */
export async function connectRaw(socketPath: string): Promise<RawClient> {
  const session = http2.connect('http://localhost', { ...OPTIONS, createConnection: () => net.connect(socketPath) })
  session.on('error', () => {})
  await once(session, 'connect')
  const open = (path: string, headers: OutgoingHttpHeaders = {}) => {
    const stream = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers },
      { endStream: false },
    )
    stream.on('error', () => {})
    return stream
  }
  return {
    session,
    open,
    call(path, { headers, body = frame(Buffer.alloc(0)) } = {}) {
      const stream = open(path, headers)
      stream.end(body)
      return readAnswer(stream)
    },
    [Symbol.dispose]: () => session.destroy(),
  }
}

/** Resolves when the stream is closed, however that came about. */
export async function readAnswer(stream: ClientHttp2Stream): Promise<RawAnswer> {
  let headers: readonly string[] = []
  let trailers: readonly string[] = []
  const chunks: Buffer[] = []
  stream.on('response', (_headers, _flags, raw) => {
    headers = raw
    stream.on('data', chunk => chunks.push(chunk))
  })
  stream.on('trailers', (_headers, _flags, raw) => {
    trailers = raw
  })
  await new Promise(resolve => stream.on('close', resolve))
  return { headers, body: Buffer.concat(chunks), trailers, rstCode: stream.rstCode ?? 0 }
}

/** A gRPC message with its frame header. */
export function frame(message: Buffer, flag = 0): Buffer {
  const header = Buffer.alloc(5)
  header[0] = flag
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

/** All values of a header or trailer, in their order. */
export function valuesOf(raw: readonly string[], name: string): string[] {
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1] === name)
}

/** The gRPC status code, wherever it stands. */
export function statusOf({ headers, trailers }: RawAnswer): number {
  return Number(valuesOf([...headers, ...trailers], 'grpc-status')[0])
}

export function messageOf({ headers, trailers }: RawAnswer): string {
  return decodeURIComponent(valuesOf([...headers, ...trailers], 'grpc-message')[0] ?? '')
}
