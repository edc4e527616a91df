import { readFile } from 'node:fs/promises'
import { orCancelled } from '../../lib/async/bounded-wait.ts'
import { getText } from '../../lib/http/get-text.ts'
import { STORE_DIR } from '../../recipes/store-path.ts'
import type { SharedPath } from '../nix/sharing.ts'

const HASH_LENGTH = 32
/** In bytes. */
const MAX_BYTES = 64 * 1024
const MAX_REDIRECTS = 5
/** Only nix has the login. S3 answers with 403 if there is no such path. */
const MAY_HAVE: readonly number[] = [200, 401, 407]

export interface StoresOptions {
  /** URLs in the order in which they are asked. */
  readonly stores: readonly string[]
  /** Limit of one question, in milliseconds. */
  readonly limitMs: number
  /** How long a store that did not answer is not asked. */
  readonly silentMs: number
  /** May name proxies and certificates, as for nix. */
  readonly env: Readonly<NodeJS.ProcessEnv>
}

export interface Stores {
  /** The first store that may have the path, except those in `failed`. Throws only Cancelled. */
  find(path: SharedPath, failed: ReadonlySet<string>, signal: AbortSignal): Promise<string | undefined>
}

/** The binary caches of the config. Those without a way to ask quickly are assumed to have the path: the copy shows. */
export function createStores({ stores, limitMs, silentMs, env }: StoresOptions): Stores {
  const silentUntil = new Map<string, number>()

  async function mayHave(store: string, storePath: string): Promise<boolean> {
    const url = narinfoOf(store, storePath)
    if (!url) return true
    if ((silentUntil.get(store) ?? 0) > performance.now()) return false
    try {
      return MAY_HAVE.includes(await statusOf(url))
    } catch {
      silentUntil.set(store, performance.now() + silentMs)
      return false
    }
  }

  async function statusOf({ href: url }: URL): Promise<number> {
    const certificates = env.NIX_SSL_CERT_FILE ?? env.SSL_CERT_FILE
    const { status } = await getText({
      url,
      env: Object.fromEntries(
        Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
      ),
      certificates: certificates === undefined ? undefined : await readFile(certificates, 'utf8'),
      ...{ maxBytes: MAX_BYTES, maxRedirects: MAX_REDIRECTS },
      signal: AbortSignal.timeout(limitMs),
    })
    return status
  }

  return {
    async find({ storePath }, failed, signal) {
      const answers = stores.filter(url => !failed.has(url)).map(url => ({ url, mayHave: mayHave(url, storePath) }))
      for (const { url, mayHave } of answers) if (await orCancelled(mayHave, signal)) return url
      return undefined
    },
  }
}

/** Undefined if it is not asked by http. */
function narinfoOf(store: string, storePath: string): URL | undefined {
  const url = new URL(store)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined
  const begin = STORE_DIR.length + 1
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${storePath.slice(begin, begin + HASH_LENGTH)}.narinfo`
  url.search = ''
  return url
}
