import { createHash } from 'node:crypto'
import { RetryableError } from '../../lib/errors.ts'
import {
  areLost,
  FOLDERS_LABEL,
  findWitnesses,
  formatFolders,
  type LayerFolder,
  parseFolders,
  replaceLostFolder,
} from './layer-folders.ts'
import { FOLDER_SNAPSHOTTER } from './services/constants.ts'
import { hold, type Lease } from './services/leases.ts'
import {
  type ActiveSnapshot,
  commitSnapshot,
  discardSnapshot,
  findSnapshot,
  labelSnapshot,
  removeSnapshot,
  type Snapshotter,
} from './services/snapshots.ts'
import { askFolders, visibleFolders } from './snapshot-folders.ts'
import { createWriteBack } from './sync-files.ts'

/** The snapshots that one import uses or makes; each is named by its layer's chainID. */
export interface SnapshotStore {
  readonly lease: Lease
  readonly snapshotter: Snapshotter
  /**
   * Returns how many snapshots of an image exist, from the bottom up, and finds those that have lost their files. From then on the
   * lease holds them.
   */
  inspect(chain: readonly string[]): Promise<number>
  /** Whether the snapshot exists. If so, the lease holds it. */
  has(chainId: string): Promise<boolean>
  /** Whether `inspect` has found that the snapshot exists without its files. */
  isLost(chainId: string): boolean
  /**
   * Commits a filled snapshot under its chainID. If the snapshot of that name has lost its files, it gets these files instead. If
   * another import was faster, the lease holds that import's snapshot. Throws ImportInterrupted if that one is already gone.
   */
  commit(filled: ActiveSnapshot, chainId: string): Promise<void>
  /** Writes the files of every inspected image to disk, then labels its highest snapshot as complete. */
  persist(): Promise<void>
}

export function createSnapshotStore(lease: Lease, name: string): SnapshotStore {
  const snapshotter = { calls: lease.calls, name }
  const lost = new Map<string, LayerFolder>()
  /** Folders of a snapshot and of those below it, highest first. */
  const folders = new Map<string, readonly string[]>()
  /** The highest snapshot of every inspected image. */
  const tops = new Set<string>()
  const writeBack = createWriteBack(lease.calls.signal)
  let isChanged = false

  async function has(chainId: string): Promise<boolean> {
    await hold(lease, { snapshot: chainId, snapshotter: name })
    return (await findSnapshot(snapshotter, chainId)) !== undefined
  }

  async function inspect(chain: readonly string[]): Promise<number> {
    const count = await countPresent(snapshotter, chain)
    const highest = chain[count - 1]
    if (highest === undefined) return 0
    // It may have been collected before the lease held it.
    if (!(await has(highest))) return 0
    if (name !== FOLDER_SNAPSHOTTER) return count
    const layers = await layersOf(highest)
    if (layers === 'unusable') {
      await removeSnapshot(snapshotter, highest)
      return inspect(chain)
    }
    for (const [index, isLost] of (await areLost(layers)).entries()) {
      const [chainId, layer] = [chain[count - 1 - index], layers[index]]
      if (isLost && chainId !== undefined && layer) lost.set(chainId, layer)
    }
    return count
  }

  async function layersOf(chainId: string): Promise<readonly LayerFolder[] | 'unusable'> {
    const layers = parseFolders((await findSnapshot(snapshotter, chainId))?.labels ?? {})
    const paths = layers?.map(({ path }) => path) ?? folders.get(chainId) ?? (await askFolders(snapshotter, chainId))
    if (paths === 'unusable') return paths
    folders.set(chainId, paths)
    return layers ?? paths.map(path => ({ path }))
  }

  /** Undefined if the snapshot is labelled and unchanged, or if this process does not see its folders. */
  async function findUnpersisted(top: string): Promise<Unpersisted | undefined> {
    const info = await findSnapshot(snapshotter, top)
    if (!info || (parseFolders(info.labels) && !isChanged)) return undefined
    const paths = folders.get(top) ?? (await askFolders(snapshotter, top))
    const layers = paths === 'unusable' ? [] : await findWitnesses(paths)
    const label = formatFolders(layers)
    const isUnknown = layers.length === 0 && (info.labels[FOLDERS_LABEL] ?? '') === ''
    return isUnknown ? undefined : { top, path: layers[0]?.path, label }
  }

  return {
    lease,
    snapshotter,
    has,
    inspect(chain) {
      const top = chain.at(-1)
      if (top !== undefined) tops.add(top)
      return inspect(chain)
    },
    isLost: chainId => lost.has(chainId),
    async commit({ key, mounts }, chainId) {
      isChanged = true
      const paths = await visibleFolders(mounts)
      const target = lost.get(chainId)
      if (target && paths[0] !== undefined) {
        await replaceLostFolder(paths[0], target)
        lost.delete(chainId)
        await discardSnapshot(snapshotter, key)
      } else if (await commitSnapshot(snapshotter, key, chainId)) {
        if (paths.length > 0) folders.set(chainId, paths)
      } else if (!(await has(chainId)))
        throw new RetryableError('ImportInterrupted', `the snapshot ${chainId} of another import is already gone`)
      if (paths[0] !== undefined) writeBack.begin(paths[0])
    },
    async persist() {
      if (name !== FOLDER_SNAPSHOTTER) return
      const unpersisted = (await Promise.all([...tops].map(findUnpersisted))).filter(one => one !== undefined)
      // All snapshots are on one file system.
      const path = unpersisted.find(one => one.path !== undefined)?.path
      if (path !== undefined) await writeBack.finish(path)
      for (const { top, label } of unpersisted)
        await labelSnapshot(snapshotter, top, { name: FOLDERS_LABEL, value: label })
    },
  }
}

interface Unpersisted {
  readonly top: string
  readonly path: string | undefined
  readonly label: string
}

/** Number of snapshots that exist, from the bottom up. One that exists has all those below it. */
async function countPresent(snapshotter: Snapshotter, chain: readonly string[]): Promise<number> {
  let least = 0
  let most = chain.length
  while (least < most) {
    const middle = most === chain.length ? most : Math.ceil((least + most) / 2)
    const key = chain[middle - 1]
    if (key !== undefined && (await findSnapshot(snapshotter, key)) !== undefined) least = middle
    else most = middle - 1
  }
  return least
}

/** ChainID of a layer. `parent`: chainID of the layers below, empty for none. Source: OCI image specification, config.md. */
export function chainOf(parent: string, diffId: string): string {
  if (parent === '') return diffId
  return `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`
}

/** The chainID of each layer, bottom first. */
export function chainsOf(diffIds: readonly string[]): string[] {
  let parent = ''
  return diffIds.map(diffId => {
    parent = chainOf(parent, diffId)
    return parent
  })
}
