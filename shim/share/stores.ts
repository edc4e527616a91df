import { orCancelled } from '../../lib/async/bounded-wait.ts'
import { isHttp } from '../nix/binary-cache/copy-args.ts'
import { getNarInfo } from '../nix/binary-cache/get-narinfo.ts'
import type { SharedPath } from '../nix/sharing.ts'

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
    if (!isHttp(store)) return true
    if ((silentUntil.get(store) ?? 0) > performance.now()) return false
    try {
      const signal = AbortSignal.timeout(limitMs)
      const { status } = await getNarInfo({ url: store, storePath, env, followsRedirects: true, signal })
      return MAY_HAVE.includes(status)
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
