import type { StorePathInfo } from '../contract.ts'
import { archiveInvalid } from '../invalid.ts'

/** Asks Nix about store paths, and about each of them once. */
export interface ValidPaths {
  /** Throws ArchiveInvalid when one is not valid: what is still being built, or was collected, is nobody's to read. */
  infoOf(paths: readonly string[]): Promise<ReadonlyMap<string, StorePathInfo>>
}

export type QueryStore = (paths: readonly string[]) => Promise<readonly StorePathInfo[]>

export function createValidPaths(query: QueryStore): ValidPaths {
  const known = new Map<string, StorePathInfo>()
  return {
    async infoOf(paths) {
      const unknown = [...new Set(paths)].filter(path => !known.has(path))
      if (unknown.length > 0) for (const info of await query(unknown)) known.set(info.path, info)
      const missing = unknown.find(path => !known.has(path))
      if (missing !== undefined)
        throw archiveInvalid(`names ${missing}, which is no valid path of this node's Nix store`)
      return known
    },
  }
}
