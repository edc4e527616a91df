import { messageOf } from '../../lib/errors.ts'
import { isStorePath } from '../../recipes/store-path.ts'
import type { Builder } from '../nix/contract.ts'

export interface StoreUseOptions {
  /** Throws while builds are impossible. */
  readonly builder: () => Promise<Pick<Builder, 'pathInfo'>>
}

export interface StoreUse {
  readonly paths: number
  /** Sum of their NAR sizes. */
  readonly narBytes: number
  /** Why the size is unknown. */
  readonly problem: string | undefined
}

const NOTHING: StoreUse = { paths: 0, narBytes: 0, problem: undefined }
const LIMIT_MS = 5000
/** With their dependencies, nix's answer about more paths would exceed the longest answer that is read. */
const MAX_PATHS = 1000

/**
 * The size of store paths and their closure. One set of paths needs one query, because nix's answer never changes.
 * Takes a bounded time and never throws.
 */
export function createStoreUse({ builder }: StoreUseOptions): (paths: readonly Path[]) => Promise<StoreUse> {
  let known = { paths: '', use: NOTHING }
  const ask = async (paths: readonly string[]): Promise<StoreUse> => {
    if (paths.length > MAX_PATHS) throw new Error(`these are more than ${MAX_PATHS} store paths`)
    const { pathInfo } = await builder()
    const signal = AbortSignal.timeout(LIMIT_MS)
    const there = await pathInfo(paths, { recursive: false, signal })
    if (there.length === 0) return NOTHING
    const roots = there.map(({ path }) => path)
    const closure = await pathInfo(roots, { recursive: true, signal })
    const narBytes = closure.reduce((sum, { narSize }) => sum + narSize, 0)
    return { paths: closure.length, narBytes, problem: undefined }
  }
  return async paths => {
    const unique = [...new Set(paths)].filter(isKnownPath).toSorted()
    const key = unique.join(' ')
    try {
      if (key !== known.paths) known = { paths: key, use: await ask(unique) }
      return known.use
    } catch (error) {
      return { ...NOTHING, problem: messageOf(error) }
    }
  }
}

type Path = string | undefined

/** The label is untrusted: other clients of containerd may write it. */
function isKnownPath(path: Path): path is string {
  return path !== undefined && isStorePath(path)
}
