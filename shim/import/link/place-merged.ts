import { lstatSync } from 'node:fs'
import { compileRegexes } from '../formats/nix2container/regex.ts'
import { type EntryRoom, takeEntries } from '../image/entry-room.ts'
import type { MergedLayer } from '../layers/merged-layer.ts'
import type { LinkView } from './link-view.ts'
import { fillMergedFolder, type MergedPlacing } from './merged-folder.ts'
import { copyFile, isTruthful, linkFile, permissions } from './place-file.ts'
import { type FillCounts, noCounts } from './placing.ts'
import { toLinkError } from './to-link-error.ts'

export interface MergedTarget {
  readonly name: string
  readonly view: LinkView
  readonly entries: EntryRoom
}

/** Makes a folder, by that name in the view's, with the files of a layer of nix2container. Throws as a Linker does. */
export async function fillMerged(layer: MergedLayer, { name, view, entries }: MergedTarget): Promise<FillCounts> {
  const counts = noCounts()
  try {
    const regexes = await compileRegexes(layer)
    const place = (file: MergedPlacing) => placeFile(file, { view, entries }, counts)
    const count = (made: number) => takeEntries(entries, made)
    counts.whiteouts = fillMergedFolder({ layer, regexes, folder: `${view.folder}/${name}`, count }, place)
    return counts
  } catch (error) {
    throw toLinkError(error)
  }
}

const STORE = Buffer.from('/nix/store')

function placeFile(
  file: MergedPlacing,
  { view, entries }: Pick<MergedTarget, 'view' | 'entries'>,
  counts: FillCounts,
): void {
  const { kind, source: path, target, mode, uid, gid, mtime } = file
  const source = Buffer.concat([Buffer.from(view.store), path.subarray(STORE.length)])
  const placing = { how: view.kind, uid, gid, mtime, entries }
  const stats = lstatSync(source)
  const isSame = isTruthful(stats, placing) && (kind === 'symlink' || permissions(stats) === mode)
  if (!isSame || !linkFile({ source, target }, placing, counts)) copyFile({ source, target }, placing, counts, mode)
}
