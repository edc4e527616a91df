import { get } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
const ANSWER_LIMIT_MS = 2000

/** Polls a health page until it answers 200. The certificate is not checked: it may not be there yet. */
export async function waitUntilHealthy(url: string, signal: AbortSignal, token?: string): Promise<void> {
  while (!(await isHealthy(url, token))) await delay(POLL_MS, undefined, { signal })
}

function isHealthy(url: string, token: string | undefined): Promise<boolean> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Promise(resolve => {
    const request = get(url, { headers, rejectUnauthorized: false, agent: false, timeout: ANSWER_LIMIT_MS }, answer => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    request.once('error', () => resolve(false)).once('timeout', () => request.destroy())
  })
}
