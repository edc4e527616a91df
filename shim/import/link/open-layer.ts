import { lstatSync, mkdirSync } from 'node:fs'
import { basename } from 'node:path'
import { takeEntries } from '../image/entry-room.ts'
import type { StorePathLayer } from '../layers/layer.ts'
import { type FolderTask, placeAlone } from './fill-folder.ts'
import type { FillCounts, Placing } from './placing.ts'

export interface LayerFolder {
  readonly layer: StorePathLayer
  /** Where the store's paths are to be taken from. */
  readonly store: string
  /** To be made. */
  readonly target: string
}

export interface OpenedLayer {
  /** Folders that are to be given their final form after all in them, the upper ones first. */
  readonly open: readonly { readonly target: string; readonly mode: number }[]
  readonly folders: readonly FolderTask[]
}

/** Makes what is above the store paths of a layer, and those of them that are no folders. */
export function openLayer({ layer, store, target }: LayerFolder, placing: Placing, counts: FillCounts): OpenedLayer {
  const upper = [`${target}/nix`, `${target}/nix/store`]
  const paths = new Set(layer.paths)
  takeEntries(placing.entries, upper.length + paths.size)
  for (const folder of [target, ...upper]) mkdirSync(folder, 0o755)
  const folders: FolderTask[] = []
  for (const path of paths) {
    const task = { source: `${store}/${basename(path)}`, target: `${target}/nix/store/${basename(path)}` }
    const stats = lstatSync(task.source)
    if (stats.isDirectory()) folders.push(task)
    else placeAlone({ ...task, stats }, placing, counts)
  }
  return { open: upper.map(folder => ({ target: folder, mode: layer.rootMode })), folders }
}
