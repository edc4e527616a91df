import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import { type NarInfo, parseNarInfo } from './narinfo.ts'

export interface NarInfoQuery {
  /** Of the binary cache: http or https. */
  readonly url: string
  readonly storePath: string
  /** Of nix: it may name proxies and certificates. */
  readonly env: Readonly<Record<string, string>>
  readonly followsRedirects: boolean
  readonly signal: AbortSignal
  readonly limitMs?: number
}

const LIMIT_MS = 5_000
/** Room for the signatures and about a thousand references. */
const MAX_BYTES = 64 * 1024
const HASH_LENGTH = 32

/**
 * Asks a binary cache about a store path. Undefined if only nix can ask, because the cache wants a login. Throws CopyFailed if the
 * cache does not have the path, or gives no valid answer.
 */
export async function fetchNarInfo(query: NarInfoQuery): Promise<NarInfo | undefined> {
  const { storePath } = query
  const answer = await ask(query).catch(error => {
    throw failed(query.signal.aborted ? 'the call was cancelled' : reasonOf(error))
  })
  if (LOGIN.includes(answer.status)) return undefined
  if (answer.status === 404) throw failed('it does not have the path')
  if (answer.status !== 200) throw failed(`it answers with status ${answer.status}`)
  const info = answer.text === undefined ? undefined : parseNarInfo(answer.text)
  if (info === undefined) throw failed('its answer about the path (the narinfo) is not valid')
  if (info.storePath !== storePath) throw failed('it answers about another path')
  return info
}

const LOGIN: readonly number[] = [401, 403, 407]

interface Answer {
  readonly status: number
  /** Undefined if it is too long. */
  readonly text: string | undefined
}

async function ask({
  url,
  storePath,
  env,
  followsRedirects,
  signal,
  limitMs = LIMIT_MS,
}: NarInfoQuery): Promise<Answer> {
  const { EnvHttpProxyAgent, fetch } = await import('undici')
  const certificates = env.NIX_SSL_CERT_FILE ?? env.SSL_CERT_FILE
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: env.http_proxy ?? '',
    httpsProxy: env.https_proxy ?? '',
    noProxy: env.no_proxy ?? '',
    connect: certificates === undefined ? {} : { ca: readFileSync(certificates) },
  })
  try {
    const { origin, pathname } = new URL(url)
    const response = await fetch(`${origin}${pathname.replace(/\/$/, '')}/${hashOf(storePath)}.narinfo`, {
      dispatcher,
      redirect: followsRedirects ? 'follow' : 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
    })
    return { status: response.status, text: response.ok ? await readBounded(response.body) : undefined }
  } finally {
    await dispatcher.destroy()
  }
}

async function readBounded(chunks: AsyncIterable<Uint8Array> | null): Promise<string | undefined> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks ?? []) {
    // A server that sends without an end must not keep timers from running.
    await setImmediate()
    bytes += chunk.length
    if (bytes > MAX_BYTES) return undefined
    parts.push(chunk)
  }
  return Buffer.concat(parts).toString()
}

function hashOf(storePath: string): string {
  return basename(storePath).slice(0, HASH_LENGTH)
}

/** undici puts the reason into the cause. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'it did not answer in time'
  const cause = error instanceof Error ? error.cause : undefined
  return `it cannot be asked (${messageOf(cause ?? error)})`
}

function failed(why: string): RetryableError {
  return new RetryableError('CopyFailed', why)
}
