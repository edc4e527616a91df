import { lstatSync } from 'node:fs'
import { fillMergedFolder, type MergedPlacing } from '../layers/merged-folder.ts'
import type { MergedLayer } from '../layers/merged-layer.ts'
import { compileRegexes } from '../layers/merged-regex.ts'
import type { LinkView } from './link-view.ts'
import { copyFile, isTruthful, linkFile, permissions } from './place-file.ts'
import { type FillCounts, noCounts } from './placing.ts'
import { toLinkError } from './to-link-error.ts'

/** Makes a folder, by that name in the view's, with the files of a layer of nix2container. Throws as a Linker does. */
export async function fillMerged(layer: MergedLayer, name: string, view: LinkView): Promise<FillCounts> {
  const counts = noCounts()
  try {
    const regexes = await compileRegexes(layer)
    const place = (file: MergedPlacing) => placeFile(file, view, counts)
    counts.whiteouts = fillMergedFolder({ layer, regexes, folder: `${view.folder}/${name}` }, place)
    return counts
  } catch (error) {
    throw toLinkError(error)
  }
}

const STORE = Buffer.from('/nix/store')

function placeFile(file: MergedPlacing, view: LinkView, counts: FillCounts): void {
  const { kind, source: path, target, mode, uid, gid, mtime } = file
  const source = Buffer.concat([Buffer.from(view.store), path.subarray(STORE.length)])
  const placing = { how: view.kind, uid, gid, mtime }
  const stats = lstatSync(source)
  const isSame = isTruthful(stats, placing) && (kind === 'symlink' || permissions(stats) === mode)
  if (!isSame || !linkFile({ source, target }, placing, counts)) copyFile({ source, target }, placing, counts, mode)
}
