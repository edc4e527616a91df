import { readdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { messageOf } from '../../../lib/errors.ts'
import { FOLDER_SNAPSHOTTER } from '../../containerd/layer-keeper.ts'
import { folderOf } from '../../containerd/services/mount-folder.ts'
import { prepareSnapshot, removeSnapshot, type Snapshotter } from '../../containerd/services/snapshots.ts'
import type { EntryRoom } from '../image/entry-room.ts'
import { type FilesLayer, isMerged } from '../layers/files-layer.ts'
import { type LinkView, openLinkView } from '../link/link-view.ts'
import { createLinker, type Linker } from '../link/linker.ts'
import { fillMerged } from '../link/place-merged.ts'
import { type FillCounts, noCounts } from '../link/placing.ts'
import { strangeStoreOwner } from '../link/store-owner.ts'

/** Gets files of the store into snapshots without a tar. */
export interface Linking {
  /** Begins to fill a folder for each layer, all of them at once, the first ones first. What is made is taken of the room. */
  stage(layers: readonly SizedLayer[], entries: EntryRoom): StagedLayer[]
  close(): Promise<void>
}

export interface SizedLayer {
  readonly files: FilesLayer
  /** In bytes; need not be exact. */
  readonly size: number
}

/** A layer's files, on the file system of the snapshots. */
export interface StagedLayer {
  /** Once all of them are there: whether some have names that a tar has for files that are deleted. */
  hasWhiteouts(): Promise<boolean>
  /** Once all of them are there, moves them into a snapshot's folder. */
  moveInto(folder: string): Promise<void>
}

export interface LinkingOptions {
  readonly snapshotter: Snapshotter
  /** A path below the store: it is tried with what is in it. */
  readonly probe: string
  /** What names of folders that are made for a mount begin with. */
  readonly viewFolder: string
  /** Whether it may be linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly signal: AbortSignal
}

export type OpenedLinking =
  | { readonly possible: true; readonly how: string; readonly linking: Linking }
  | { readonly possible: false; readonly how: string }

const STORE = '/nix/store'

/**
 * Layers are filled in a snapshot that is thrown away afterwards, so that all can be filled at once, and moved from there
 * into their own: those can only be made one after another. It goes with the lease when this process is killed.
 */
export async function openLinking(options: LinkingOptions): Promise<OpenedLinking> {
  const { snapshotter, probe, viewFolder, trustStore, signal } = options
  if (snapshotter.name !== FOLDER_SNAPSHOTTER)
    return { possible: false, how: `containerd's snapshotter is ${snapshotter.name}, not ${FOLDER_SNAPSHOTTER}` }
  const owner = trustStore ? undefined : await strangeStoreOwner()
  if (owner !== undefined)
    return {
      possible: false,
      how: `the store belongs to uid ${owner}, which can change it, and import.trustStore is not set`,
    }
  const { key, mounts } = await prepareSnapshot(snapshotter, '')
  try {
    const folder = await usable(folderOf(mounts))
    const view = await openLinkView({ store: STORE, probe: basename(probe), folder, viewFolder })
    const linker = createLinker(view)
    // An import that begins anew begins in other folders.
    let rounds = 0
    const linking: Linking = {
      stage(layers, entries) {
        rounds += 1
        const round = rounds
        const filled = fillAll(layers, { linker, view, signal, round, entries })
        // Who moves a layer hears of its failure; those above it are never asked for then.
        for (const one of filled) one.catch(() => {})
        return filled.map((one, index) => ({
          hasWhiteouts: async () => (await one).whiteouts > 0,
          async moveInto(target) {
            await one
            await moveAll(join(folder, folderName(round, index)), target)
          },
        }))
      },
      async close() {
        await linker.close()
        await view.close()
        await removeSnapshot(snapshotter, key)
      },
    }
    return { possible: true, how: view.how, linking }
  } catch (error) {
    await removeSnapshot(snapshotter, key)
    signal.throwIfAborted()
    return { possible: false, how: messageOf(error) }
  }
}

interface Filling {
  readonly linker: Linker
  readonly view: LinkView
  readonly signal: AbortSignal
  readonly round: number
  readonly entries: EntryRoom
}

function folderName(round: number, place: number): string {
  return `${round}-${place}`
}

/** Each into the folder that its place in the list names. */
function fillAll(layers: readonly SizedLayer[], filling: Filling): Promise<FillCounts>[] {
  const { linker, view, round, entries } = filling
  const named = layers.map(({ files: layer, size }, index) => ({ layer, size, name: folderName(round, index) }))
  const tasks = named.flatMap(({ layer, ...rest }) => (isMerged(layer) ? [] : { layer, ...rest }))
  const filled = new Map(linker.fill(tasks, filling).map((done, index) => [tasks[index]?.name, done]))
  return named.map(({ layer, name }) =>
    isMerged(layer) ? fillMerged(layer, { name, view, entries }) : (filled.get(name) ?? Promise.resolve(noCounts())),
  )
}

/** A folder that is not there, or not empty, is none of containerd's, which may see another file system. */
async function usable(folder: string | undefined): Promise<string> {
  if (folder === undefined) throw new Error("containerd's snapshots have mounts of an unknown form")
  const names = await readdir(folder)
  if (names.length > 0) throw new Error(`${folder} is not what containerd has at that path`)
  return folder
}

async function moveAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) await rename(join(from, name), join(to, name))
}
