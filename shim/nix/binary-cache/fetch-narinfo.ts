import { messageOf, RetryableError } from '../../../lib/errors.ts'
import type { TextAnswer } from '../../../lib/http/get-text.ts'
import { getNarInfo, type NarInfoRequest } from './get-narinfo.ts'
import { type NarInfo, parseNarInfo } from './narinfo.ts'

export interface NarInfoQuery extends NarInfoRequest {
  readonly limitMs?: number
}

const LIMIT_MS = 5_000

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
  const { signal, limitMs = LIMIT_MS } = query
  const timeLimit = AbortSignal.timeout(limitMs)
  try {
    return await getNarInfo({ ...query, signal: AbortSignal.any([signal, timeLimit]) })
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
