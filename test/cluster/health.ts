import * as http from 'node:http'
import * as https from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
const ANSWER_LIMIT_MS = 2000

/** Polls a health page until it answers 200. It does not check the certificate, which may not exist yet. */
export async function waitUntilHealthy(url: string, signal: AbortSignal, token?: string): Promise<void> {
  while (!(await isHealthy(url, token))) await delay(POLL_MS, undefined, { signal })
}

function isHealthy(url: string, token: string | undefined): Promise<boolean> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const options = { headers, rejectUnauthorized: false, agent: false, timeout: ANSWER_LIMIT_MS } as const
  const { get } = url.startsWith('https:') ? https : http
  return new Promise(resolve => {
    const request = get(url, options, answer => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    request.once('error', () => resolve(false)).once('timeout', () => request.destroy())
  })
}
