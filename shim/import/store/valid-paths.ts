import type { StorePathInfo } from '../image/contract.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { Closure } from './closure.ts'

/** Store paths that are valid, and that the package refers to: no others are for its image. */
export interface ValidPaths {
  /** Throws ArchiveInvalid when one is not: what is still being built, was collected, or is somebody else's. */
  infoOf(paths: readonly string[]): Promise<ReadonlyMap<string, StorePathInfo>>
}

export function createValidPaths({ infos }: Closure): ValidPaths {
  return {
    async infoOf(paths) {
      const missing = paths.find(path => !infos.has(path))
      if (missing !== undefined)
        throw archiveInvalid(`names ${missing}, which is no valid store path that the package refers to`)
      return infos
    },
  }
}
