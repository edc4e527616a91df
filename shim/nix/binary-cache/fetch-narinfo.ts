import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import { getText, type TextAnswer } from '../../../lib/http/get-text.ts'
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
const MAX_REDIRECTS = 5
const HASH_LENGTH = 32

/**
 * Asks a binary cache about a store path. Undefined if only nix can ask, because the cache wants a login. Throws CopyFailed if the
 * cache does not have the path, or gives no valid answer.
 */
export async function fetchNarInfo(query: NarInfoQuery): Promise<NarInfo | undefined> {
  const { storePath } = query
  const { status, text } = await ask(query)
  if (LOGIN.includes(status)) return undefined
  if (status === 404) throw failed('it does not have the path')
  if (status !== 200) throw failed(`it answers with status ${status}`)
  const info = text === undefined ? undefined : parseNarInfo(text)
  if (info === undefined) throw failed('its answer about the path (the narinfo) is not valid')
  if (info.storePath !== storePath) throw failed('it answers about another path')
  return info
}

const LOGIN: readonly number[] = [401, 403, 407]

async function ask(query: NarInfoQuery): Promise<TextAnswer> {
  const { url, storePath, env, followsRedirects, signal, limitMs = LIMIT_MS } = query
  const timeLimit = AbortSignal.timeout(limitMs)
  try {
    const { origin, pathname } = new URL(url)
    const hash = basename(storePath).slice(0, HASH_LENGTH)
    const certificates = env.NIX_SSL_CERT_FILE ?? env.SSL_CERT_FILE
    return await getText({
      url: `${origin}${pathname.replace(/\/$/, '')}/${hash}.narinfo`,
      env,
      certificates: certificates === undefined ? undefined : await readFile(certificates, 'utf8'),
      maxBytes: MAX_BYTES,
      maxRedirects: followsRedirects ? MAX_REDIRECTS : 0,
      signal: AbortSignal.any([signal, timeLimit]),
    })
  } catch (error) {
    if (signal.aborted) throw failed('the call was cancelled')
    throw failed(timeLimit.aborted ? 'it did not answer in time' : `it cannot be asked (${reasonOf(error)})`)
  }
}

/** An error about several addresses of a host has only a code. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return messageOf(error) || code
}

function failed(why: string): RetryableError {
  return new RetryableError('CopyFailed', why)
}
