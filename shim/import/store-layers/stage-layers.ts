import { readdir, rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { messageOf } from '../../../lib/errors.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { FOLDER_SNAPSHOTTER } from '../../containerd/services/constants.ts'
import { discardSnapshot, prepareSnapshot, type Snapshotter } from '../../containerd/services/snapshots.ts'
import { folderOf } from '../../containerd/snapshot-folders.ts'
import type { LinkingReport } from '../image/contract.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import { type FilesLayer, isMerged } from '../image/store-image.ts'
import { fillMergedLayer } from '../link/fill-merged.ts'
import { type LinkPaths, openLinkPaths } from '../link/link-paths.ts'
import { createLinker, type Linker } from '../link/linker.ts'
import { type FillCounts, noCounts } from '../link/place-file.ts'

/** Links files of the store into staging folders, one for each layer, from which they are moved into snapshots. */
export interface LayerStager {
  /** Begins to stage all layers concurrently, the first ones first. Takes their entries from the room. */
  stage(layers: readonly LayerToStage[], entryRoom: EntryRoom): StagedLayer[]
  close(): Promise<void>
}

export interface LayerToStage {
  readonly files: FilesLayer
  /** In bytes; need not be exact. */
  readonly size: number
}

/** A layer's files in its staging folder, on the file system of the snapshots. */
export interface StagedLayer {
  /** Waits for all files. Whether some have names that mark deleted files in a tar. */
  hasWhiteouts(): Promise<boolean>
  /** Waits for all files, and moves them into a snapshot's folder. */
  moveInto(folder: string): Promise<void>
}

export interface StagerOptions {
  readonly snapshotter: Snapshotter
  /** A path below the store whose files linking is tried with. */
  readonly probe: string
  /** Prefix of folders that are made for a mount. */
  readonly viewFolder: string
  /** Whether files may be linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly signal: AbortSignal
}

export type LinkingTrial =
  | { readonly possible: true; readonly kind: LinkPaths['kind']; readonly how: string; readonly stager: LayerStager }
  | { readonly possible: false; readonly reason: string }

/**
 * Tries whether files can be linked. Staging folders are in a snapshot that is discarded afterwards: a layer's own snapshot cannot
 * be prepared before the one below is committed. If the process is killed, that snapshot is collected with the lease.
 */
export async function tryLinking(options: StagerOptions): Promise<LinkingTrial> {
  const { snapshotter, probe, viewFolder, signal } = options
  const obstacle = await findObstacle(options)
  if (obstacle !== undefined) return { possible: false, reason: obstacle }
  const { key, mounts } = await prepareSnapshot(snapshotter, '')
  try {
    const folder = await requireEmpty(folderOf(mounts))
    const paths = await openLinkPaths({ store: STORE_DIR, probe: basename(probe), folder, viewFolder })
    const linker = createLinker(paths)
    return {
      possible: true,
      kind: paths.kind,
      how: paths.how,
      stager: {
        stage: createStage({ folder, linker, paths, signal }),
        async close() {
          await linker.close()
          await paths.close()
          await discardSnapshot(snapshotter, key)
        },
      },
    }
  } catch (error) {
    await discardSnapshot(snapshotter, key)
    signal.throwIfAborted()
    return { possible: false, reason: messageOf(error) }
  }
}

export function linkingReport(trial: LinkingTrial): LinkingReport {
  if (!trial.possible) return { possible: false, isCopied: false, how: trial.reason }
  return { possible: true, isCopied: trial.kind === 'copy', how: trial.how }
}

async function findObstacle({ snapshotter, trustStore }: StagerOptions): Promise<string | undefined> {
  if (snapshotter.name !== FOLDER_SNAPSHOTTER)
    return `containerd's snapshotter is ${snapshotter.name}, not ${FOLDER_SNAPSHOTTER}`
  const owner = trustStore ? undefined : await findUntrustedOwner()
  if (owner === undefined) return undefined
  return `the store belongs to uid ${owner}, which can change it, and import.trustStore is not set`
}

const NIX_DATABASE = '/nix/var/nix/db'

/** Uid of a user other than root that can change the store or Nix's database; undefined if there is none. */
async function findUntrustedOwner(): Promise<number | undefined> {
  const owners = await Promise.all(
    [STORE_DIR, NIX_DATABASE].map(path =>
      stat(path).then(
        ({ uid }) => uid,
        () => 0,
      ),
    ),
  )
  return owners.find(uid => uid !== 0)
}

/** containerd may see another file system: then the folder of a new snapshot is missing here, or has files in it. */
async function requireEmpty(folder: string | undefined): Promise<string> {
  if (folder === undefined) throw new Error("containerd's snapshots have mounts of an unknown form")
  const names = await readdir(folder)
  if (names.length > 0) throw new Error(`${folder} is not what containerd has at that path`)
  return folder
}

interface Staging {
  /** The snapshot's, for the staging folders. */
  readonly folder: string
  readonly linker: Linker
  readonly paths: LinkPaths
  readonly signal: AbortSignal
}

function createStage({ folder, ...staging }: Staging): LayerStager['stage'] {
  // A second attempt of an import uses other folders.
  let attempts = 0
  return (layers, entryRoom) => {
    attempts += 1
    const attempt = attempts
    const nameOf = (index: number) => `${attempt}-${index}`
    const linked = linkLayers(layers, { ...staging, entryRoom, nameOf })
    // A failure is reported by the layer that is moved. The layers above it are not requested any more.
    for (const one of linked) one.catch(() => {})
    return linked.map((one, index) => ({
      hasWhiteouts: async () => (await one).whiteouts > 0,
      async moveInto(target) {
        await one
        await moveAll(join(folder, nameOf(index)), target)
      },
    }))
  }
}

interface LinkOptions extends Omit<Staging, 'folder'> {
  readonly entryRoom: EntryRoom
  readonly nameOf: (index: number) => string
}

/** Links the files of each layer into the staging folder that its index names. */
function linkLayers(layers: readonly LayerToStage[], options: LinkOptions): Promise<FillCounts>[] {
  const { linker, paths, entryRoom, nameOf } = options
  const named = layers.map((layer, index) => ({ ...layer, name: nameOf(index) }))
  const tasks = named.flatMap(({ files, ...rest }) => (isMerged(files) ? [] : { files, ...rest }))
  const linked = new Map(linker.fill(tasks, options).map((done, index) => [tasks[index]?.name, done]))
  return named.map(({ files, name }) =>
    isMerged(files)
      ? fillMergedLayer(files, { name, paths, entryRoom })
      : (linked.get(name) ?? Promise.resolve(noCounts())),
  )
}

async function moveAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) await rename(join(from, name), join(to, name))
}
