import type { StorePathLayer } from './layer.ts'
import type { MergedLayer } from './merged-layer.ts'

/** A layer whose files lie in the store. */
export type FilesLayer = StorePathLayer | MergedLayer

export function isMerged(layer: FilesLayer): layer is MergedLayer {
  return 'form' in layer
}

export function storePathsOf(layer: FilesLayer): readonly string[] {
  return isMerged(layer) ? layer.paths.map(({ path }) => path) : layer.paths
}
