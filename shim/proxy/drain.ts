import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'

/** Answers that are given at the end of the grace time have this long to reach their callers. */
const FLUSH_LIMIT_MS = 500

export interface DrainOptions {
  readonly sessions: ReadonlySet<ServerHttp2Session>
  readonly sockets: ReadonlySet<Socket>
  readonly graceMs: number
  /** Ends the calls that still run when the grace time is over. */
  readonly stopCalls: () => void
  /** Resolves when the last connection is gone. */
  readonly closed: Promise<unknown>
}

/** Says GOAWAY on every connection and waits until all are closed: after `graceMs` by `stopCalls`, then by force. */
export async function drain({ sessions, sockets, graceMs, stopCalls, closed }: DrainOptions): Promise<void> {
  for (const session of sessions) session.close()
  const grace = setTimeout(stopCalls, graceMs)
  // The sockets themselves: a session that is closing waits for its peer even when it is destroyed.
  const force = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, graceMs + FLUSH_LIMIT_MS)
  await closed
  clearTimeout(grace)
  clearTimeout(force)
}
