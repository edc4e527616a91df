import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { hasCode } from '../../lib/error-code.ts'
import { widenConnectionWindow } from './session-options.ts'

/** Answers that are given at the end of the grace time have this long to reach their callers. */
const FLUSH_LIMIT_MS = 500

/** The connections of a proxy's callers. */
export interface Callers {
  /** Says GOAWAY on every connection and waits until all are closed: after `graceMs` by `stopCalls`, then by force. */
  drain(plan: DrainPlan): Promise<void>
}

export interface DrainPlan {
  readonly graceMs: number
  /** Ends the calls that still run when the grace time is over. */
  readonly stopCalls: () => void
  /** Resolves when the last connection is gone. */
  readonly closed: Promise<unknown>
}

export function trackCallers(server: Http2Server, logger: Logger): Callers {
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('session', session => {
    sessions.add(session)
    widenConnectionWindow(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('sessionError', error => {
    if (hasCode(error, 'ERR_HTTP2_ERROR')) logger.warn({ err: error }, "a caller's connection was ended with GOAWAY")
    else logger.debug({ err: error }, 'a connection failed')
  })
  return {
    async drain({ graceMs, stopCalls, closed }) {
      for (const session of sessions) session.close()
      const grace = setTimeout(stopCalls, graceMs)
      // The sockets: a closing session waits for its peer even when it is destroyed.
      const force = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, graceMs + FLUSH_LIMIT_MS)
      await closed
      clearTimeout(grace)
      clearTimeout(force)
    },
  }
}
