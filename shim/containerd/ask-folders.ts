import { lstat } from 'node:fs/promises'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import { foldersOf } from './services/mount-folder.ts'
import { type Mount, prepareSnapshot, removeSnapshot, type Snapshotter } from './services/snapshots.ts'

/**
 * The folders of a snapshot and of those below it, in that order, as a snapshot on top of it tells; none when this process sees
 * another file system than containerd. `unusable`: its own folder does not exist, so that nothing can be put on top of it.
 */
export async function askFolders(snapshotter: Snapshotter, chainId: string): Promise<readonly string[] | 'unusable'> {
  const probe = await prepareSnapshot(snapshotter, chainId).catch(unlessFolderIsGone)
  if (!probe) return 'unusable'
  try {
    return (await visibleFolders(probe.mounts)).slice(1)
  } finally {
    await removeSnapshot(snapshotter, probe.key)
  }
}

function unlessFolderIsGone(error: unknown): undefined {
  if (!(error instanceof GrpcError) || !tellsOfNoFolder(error.details)) throw error
}

/** containerd's words for a parent whose folder it cannot find. */
function tellsOfNoFolder(words: string): boolean {
  const at = words.indexOf('failed to stat parent: ')
  return at >= 0 && words.includes('no such file or directory', at)
}

/** Those of a snapshot being filled, and below it; none when this process does not see them. */
export async function visibleFolders(mounts: readonly Mount[]): Promise<readonly string[]> {
  const paths = foldersOf(mounts) ?? []
  const isVisible = await lstat(paths[0] ?? '').then(
    () => true,
    () => false,
  )
  return isVisible ? paths : []
}
