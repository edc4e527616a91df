import { createHash } from 'node:crypto'
import type { StorePathInfo } from '../contract.ts'
import type { LayerDigest } from '../layers/digest-cache.ts'
import type { StorePathLayer } from '../layers/layer.ts'

/**
 * Stands for the digest of a layer whose tar nobody has made: over all that decides what is in the layer, the content
 * of its store paths by their NAR hashes. The same on every node that has the same content. `infos` has all its paths.
 */
export function linkedDigest(layer: StorePathLayer, infos: ReadonlyMap<string, StorePathInfo>): LayerDigest {
  const { paths, owner, mtime, rootMode } = layer
  const contents = paths.flatMap(path => infos.get(path) ?? [])
  const described = [
    'enbi-shim linked layer 1',
    [owner.uid, owner.gid],
    mtime,
    rootMode,
    contents.map(({ path, narHash }) => [path, narHash]),
  ]
  const hex = createHash('sha256').update(JSON.stringify(described)).digest('hex')
  return { diffId: `sha256:${hex}`, size: contents.reduce((sum, { narSize }) => sum + narSize, 0) }
}
