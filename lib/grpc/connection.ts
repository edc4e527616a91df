import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { GrpcError } from './grpc-error.ts'
import { STATUS } from './status.ts'

/** One HTTP/2 connection to a unix socket, opened at first use, and again after it was lost, until it is closed. */
export interface Connection {
  /** Resolves to a live session; retries for at most `timeoutMs` while the server does not accept connections. */
  session(call: { method: string; timeoutMs: number; signal?: AbortSignal | undefined }): Promise<ClientHttp2Session>
  close(): void
}

/** Pause between two attempts to connect. */
const RETRY_MS = 100

export function createConnection(address: string): Connection {
  let current: ClientHttp2Session | undefined
  let connecting: Promise<ClientHttp2Session> | undefined
  let isClosed = false

  function connectOnce(): Promise<ClientHttp2Session> {
    connecting ??= openSession(address)
      .then(session => {
        if (isClosed) session.destroy()
        current = session
        const forget = () => {
          if (current === session) current = undefined
        }
        session.once('goaway', forget).once('close', forget)
        return session
      })
      .finally(() => {
        connecting = undefined
      })
    return connecting
  }

  return {
    async session({ method, timeoutMs, signal }) {
      const giveUpAt = performance.now() + timeoutMs
      for (;;) {
        signal?.throwIfAborted()
        // A connection that nobody closes would keep the process alive.
        if (isClosed) throw new GrpcError(method, STATUS.UNAVAILABLE, `the connection to ${address} is closed`)
        if (current && !current.closed) return current
        try {
          return await connectOnce()
        } catch (cause) {
          if (performance.now() + RETRY_MS > giveUpAt)
            throw new GrpcError(method, STATUS.UNAVAILABLE, `no server answers at ${address}`, { cause })
          await delay(RETRY_MS, undefined, signal ? { signal } : {})
        }
      }
    },
    close() {
      isClosed = true
      current?.destroy()
      current = undefined
    },
  }
}

/** Bytes of answers that the server may send before they are read. */
const RECEIVE_WINDOW = 1024 * 1024

function openSession(address: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect('http://localhost', {
      createConnection: () => connectSocket(address),
      settings: { enablePush: false, initialWindowSize: RECEIVE_WINDOW },
    })
    // Calls learn of a lost connection from their own streams. Without a listener, the error would end the process.
    session.on('error', reject)
    session.once('connect', () => resolve(session))
  })
}
