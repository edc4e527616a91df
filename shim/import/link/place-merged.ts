import { lstatSync } from 'node:fs'
import { fillMergedFolder, type MergedPlacing } from '../layers/merged-folder.ts'
import type { MergedLayer } from '../layers/merged-layer.ts'
import { compileRegexes } from '../layers/merged-regex.ts'
import type { LinkView } from './link-view.ts'
import { copyFile, isTruthful, linkFile, permissions } from './place-file.ts'
import { noCounts } from './placing.ts'
import { toLinkError } from './to-link-error.ts'

/** Makes a folder, by that name in the view's, with the files of a layer of nix2container. Throws as a Linker does. */
export async function fillMerged(layer: MergedLayer, name: string, view: LinkView): Promise<void> {
  try {
    const regexes = await compileRegexes(layer)
    fillMergedFolder({ layer, regexes, folder: `${view.folder}/${name}` }, file => place(file, view))
  } catch (error) {
    throw toLinkError(error)
  }
}

const STORE = Buffer.from('/nix/store')

function place({ kind, source: path, target, mode, uid, gid, mtime }: MergedPlacing, view: LinkView): void {
  const source = Buffer.concat([Buffer.from(view.store), path.subarray(STORE.length)])
  const placing = { how: view.kind, uid, gid, mtime }
  const counts = noCounts()
  const stats = lstatSync(source)
  const isSame = isTruthful(stats, placing) && (kind === 'symlink' || permissions(stats) === mode)
  if (!isSame || !linkFile({ source, target }, placing, counts)) copyFile({ source, target }, placing, counts, mode)
}
