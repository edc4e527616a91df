import { readFile } from 'node:fs/promises'
import { getText, type TextAnswer } from '../../../lib/http/get-text.ts'
import { hashOfStorePath } from '../../../recipes/store-path.ts'

export interface NarInfoRequest {
  /** Of the binary cache: http or https. */
  readonly url: string
  readonly storePath: string
  /** May name proxies and certificates, as for nix. */
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly followsRedirects: boolean
  readonly signal: AbortSignal
}

/** Room for the signatures and about a thousand references, in bytes. */
const MAX_BYTES = 64 * 1024
const MAX_REDIRECTS = 5

/** Asks a binary cache for its narinfo of a store path. Rejects if there is no whole answer. */
export async function getNarInfo({
  url,
  storePath,
  env,
  followsRedirects,
  signal,
}: NarInfoRequest): Promise<TextAnswer> {
  const { origin, pathname } = new URL(url)
  const certificates = env.NIX_SSL_CERT_FILE ?? env.SSL_CERT_FILE
  return getText({
    url: `${origin}${pathname.replace(/\/$/, '')}/${hashOfStorePath(storePath)}.narinfo`,
    env,
    certificates: certificates === undefined ? undefined : await readFile(certificates, 'utf8'),
    maxBytes: MAX_BYTES,
    maxRedirects: followsRedirects ? MAX_REDIRECTS : 0,
    signal,
  })
}
