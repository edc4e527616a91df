import { Agent, interceptors, request } from 'undici'
import { messageOf } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'

/** Longest time of one question, in milliseconds. */
const LIMIT_MS = 5000
/** In bytes. The answer of a cache has about 50. */
const MAX_ANSWER = 64 * 1024
const MAX_REDIRECTIONS = 3
const OK = 200

export function isWebUrl(url: string): boolean {
  return /^https?:/.test(url)
}

/** Why a binary cache cannot be used; undefined if it can. It must be an http or https URL. */
export async function cacheProblem(url: string, signal: AbortSignal): Promise<string | undefined> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  // Not `fetch`, which knows ports that it never opens.
  const dispatcher = new Agent().compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTIONS }))
  try {
    const { statusCode, body } = await request(infoUrl(url), { dispatcher, signal: inTime })
    const text = await readStart(body)
    if (statusCode !== OK) return `it answers ${statusCode} to nix-cache-info`
    const storeDir = /^StoreDir:\s*(\S+)\s*$/m.exec(text)?.[1]
    if (storeDir === STORE_DIR) return undefined
    return storeDir === undefined ? 'it is not a binary cache' : `it is for the store ${quote(storeDir)}`
  } catch (error) {
    return inTime.aborted ? `it did not answer within ${LIMIT_MS / 1000} s` : messageOf(error)
  } finally {
    await dispatcher.destroy()
  }
}

function infoUrl(url: string): URL {
  const info = new URL(url)
  info.pathname += info.pathname.endsWith('/') ? 'nix-cache-info' : '/nix-cache-info'
  info.search = ''
  return info
}

async function readStart(body: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) continue
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_ANSWER) break
  }
  return Buffer.concat(chunks).toString('latin1')
}
