import { type FilesLayer, isMerged, type MergedLayer, type StorePathLayer, storePathsOf } from '../image/store-image.ts'
import type { StoreInfos } from '../store/closure.ts'

/** Changes with the code that makes tars, so that older entries are not used. */
const TAR_VERSION = 2

/** Key of the digest of a layer's tar. `infos` has all of the layer's paths. */
export function tarKey(layer: FilesLayer, infos: StoreInfos): string {
  return JSON.stringify(['tar', TAR_VERSION, describeLayer(layer, infos)])
}

/** Key of the number of entries of that tar. */
export function entriesKey(layer: FilesLayer, infos: StoreInfos): string {
  return JSON.stringify(['entries', describeLayer(layer, infos)])
}

/** Key of the digest of a file in that store path. */
export function fileKey(file: string, storePath: string, infos: StoreInfos): string {
  return JSON.stringify(['file', file, describePaths([storePath], infos)])
}

/** Key of the file's size when it is unpacked as a layer of that type. */
export function unpackedKey(
  { path, mediaType }: { readonly path: string; readonly mediaType: string },
  storePath: string,
  infos: StoreInfos,
): string {
  return JSON.stringify(['unpacked with entries', path, mediaType, describePaths([storePath], infos)])
}

/** Everything that decides what is in the layer. */
export function describeLayer(layer: FilesLayer, infos: StoreInfos): unknown {
  const paths = describePaths(storePathsOf(layer), infos)
  return isMerged(layer) ? describeMerged(layer, paths) : describeStorePaths(layer, paths)
}

/** A store path that is built again may have other content, and then has another NAR hash. */
function describePaths(paths: readonly string[], infos: StoreInfos): [path: string, narHash: string][] {
  return paths.map(path => {
    const info = infos.get(path)
    if (!info) throw new Error(`Nix was not asked about ${path}`)
    return [path, info.narHash]
  })
}

function describeStorePaths({ owner, mtime, rootMode }: StorePathLayer, paths: unknown): unknown {
  const { uid, gid, uname, gname } = owner
  return ['store paths', paths, [uid, gid, uname, gname], mtime, rootMode]
}

function describeMerged({ paths, form }: MergedLayer, contents: unknown): unknown {
  const options = paths.map(({ rewrite, perms }) => [
    rewrite ? [rewrite.regex, rewrite.repl] : null,
    perms.map(({ regex, mode, uid, gid, uname, gname }) => [regex, mode, uid, gid, uname, gname]),
  ])
  return ['merged', contents, options, form.mtime, form.hasGnames]
}
