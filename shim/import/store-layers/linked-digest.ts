import { createHash } from 'node:crypto'
import { type FilesLayer, storePathsOf } from '../layers/files-layer.ts'
import type { StoredBlob } from '../streams/blob-store.ts'
import { describeLayer, type StoreInfos } from './digest-keys.ts'

/**
 * Stands for the digest of a layer whose tar nobody has made: over all that decides what is in the layer, the content
 * of its store paths by their NAR hashes. The same on every node that has the same content. `infos` has all its paths.
 */
export function linkedDigest(layer: FilesLayer, infos: StoreInfos): StoredBlob {
  const description = JSON.stringify(['enbi-shim linked layer 2', describeLayer(layer, infos)])
  const hex = createHash(NOT_SHA256).update(description).digest('hex')
  const size = storePathsOf(layer).reduce((sum, path) => sum + (infos.get(path)?.narSize ?? 0), 0)
  return { digest: `sha256:${hex}`, size }
}

/** As long, but no blob can ever have such a digest: made by sha256, it would be that of the description itself. */
const NOT_SHA256 = 'sha512-256'
