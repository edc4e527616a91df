import type { ClientRequest, IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'

// An import of `node:http` reads all its exports, and `WebSocket` loads undici, which costs 12 MB.
const http = process.getBuiltinModule('node:http')
const https = process.getBuiltinModule('node:https')

export interface TextQuery {
  readonly url: string
  /** May name proxies. */
  readonly env: Readonly<NodeJS.ProcessEnv>
  /** Certificates to trust instead of Node's own, as PEM. */
  readonly certificates?: string | undefined
  readonly maxBytes: number
  readonly maxRedirects: number
  readonly signal: AbortSignal
}

export interface TextAnswer {
  readonly status: number
  /** Undefined unless the status is 200, and if the text is too long. */
  readonly text: string | undefined
}

const REDIRECTS: readonly (number | undefined)[] = [301, 302, 303, 307, 308]

/** Fetches a short text by HTTP or HTTPS. Rejects if there is no whole answer. */
export async function getText(query: TextQuery): Promise<TextAnswer> {
  const { url, maxBytes, maxRedirects } = query
  const answer = await send(query)
  try {
    const { statusCode: status = 0, headers } = answer
    if (headers.location !== undefined && maxRedirects > 0 && REDIRECTS.includes(status))
      return await getText({ ...query, url: new URL(headers.location, url).href, maxRedirects: maxRedirects - 1 })
    return { status, text: status === 200 ? await readBounded(answer, maxBytes) : undefined }
  } finally {
    answer.destroy()
  }
}

function send({ url, env, certificates, signal }: TextQuery): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (): ClientRequest => {
      if (new URL(url).protocol !== 'https:')
        return http.request(url, { signal, agent: new http.Agent({ proxyEnv: env }) })
      const ca = certificates === undefined ? {} : { ca: certificates }
      return https.request(url, { signal, agent: new https.Agent({ proxyEnv: env, ...ca }) })
    }
    request().once('response', resolve).on('error', reject).end()
  })
}

async function readBounded(answer: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer) {
    // A server that sends without an end must not keep timers from running.
    await setImmediate()
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > maxBytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
