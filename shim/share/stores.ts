import type { IncomingMessage } from 'node:http'
import { orCancelled } from '../../lib/async/bounded-wait.ts'
import { STORE_DIR } from '../../recipes/store-path.ts'
import type { SharedPath } from '../nix/sharing.ts'

// An import of these modules would read all their exports, which costs memory.
const http = process.getBuiltinModule('node:http')
const https = process.getBuiltinModule('node:https')

const HASH_LENGTH = 32
/** In bytes. */
const MAX_HEADERS = 16_384

export interface StoresOptions {
  /** URLs in the order in which they are asked. */
  readonly stores: readonly string[]
  /** Limit of one question, in milliseconds. */
  readonly limitMs: number
  /** How long a store that did not answer is not asked. */
  readonly silentMs: number
}

export interface Stores {
  /** The first store that may have the path, except those in `failed`. Throws only Cancelled. */
  find(path: SharedPath, failed: ReadonlySet<string>, signal: AbortSignal): Promise<string | undefined>
}

/** The binary caches of the config. Those without a way to ask quickly are assumed to have the path: the copy shows. */
export function createStores({ stores, limitMs, silentMs }: StoresOptions): Stores {
  const silentUntil = new Map<string, number>()

  async function mayHave(store: string, storePath: string): Promise<boolean> {
    const url = narinfoOf(store, storePath)
    if (!url) return true
    if ((silentUntil.get(store) ?? 0) > performance.now()) return false
    try {
      const status = await statusOf(url, limitMs)
      // Nix follows redirections.
      return status === 200 || (status >= 300 && status < 400)
    } catch {
      silentUntil.set(store, performance.now() + silentMs)
      return false
    }
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

function statusOf(url: URL, limitMs: number): Promise<number> {
  const { get } = url.protocol === 'https:' ? https : http
  return new Promise((resolve, reject) => {
    const options = { agent: false, maxHeaderSize: MAX_HEADERS, signal: AbortSignal.timeout(limitMs) } as const
    const onAnswer = (answer: IncomingMessage) => {
      resolve(answer.statusCode ?? 0)
      answer.on('error', () => {}).destroy()
    }
    get(url, options, onAnswer).on('error', reject)
  })
}
