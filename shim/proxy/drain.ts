import { once } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'

/** Answers that were given at the end of the grace time get this long to reach their callers. */
const FLUSH_LIMIT_MS = 500

/** Says GOAWAY on every connection and waits until each is closed: after `graceMs` by `stopCalls`, then by force. */
export async function drain(
  sessions: ReadonlySet<ServerHttp2Session>,
  graceMs: number,
  stopCalls: () => void,
): Promise<void> {
  const closed = Promise.all([...sessions].map(session => once(session, 'close')))
  for (const session of sessions) session.close()
  const grace = setTimeout(stopCalls, graceMs)
  const force = setTimeout(() => {
    for (const session of sessions) session.destroy()
  }, graceMs + FLUSH_LIMIT_MS)
  await closed
  clearTimeout(grace)
  clearTimeout(force)
}
