import type { ServerHttp2Session } from 'node:http2'

/** Answers that are given at the end of the grace time have this long to reach their callers. */
const FLUSH_LIMIT_MS = 500

/** Says GOAWAY on every connection and waits until each is closed: after `graceMs` by `stopCalls`, then by force. */
export async function drain(
  sessions: ReadonlySet<ServerHttp2Session>,
  graceMs: number,
  stopCalls: () => void,
): Promise<void> {
  const closed = [...sessions].map(session => new Promise(resolve => session.once('close', resolve)))
  for (const session of sessions) session.close()
  const grace = setTimeout(stopCalls, graceMs)
  const force = setTimeout(() => {
    for (const session of sessions) session.destroy()
  }, graceMs + FLUSH_LIMIT_MS)
  await Promise.all(closed)
  clearTimeout(grace)
  clearTimeout(force)
}
