import { lstat } from 'node:fs/promises'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
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

/**
 * The folder that the files of a snapshot being filled go into, as containerd's overlayfs snapshotter gives its mounts: a
 * bind mount for a first layer, else an overlay's upper folder. Undefined for mounts of any other form.
 */
export function folderOf(mounts: readonly Mount[]): string | undefined {
  return foldersOf(mounts)?.[0]
}

/** That folder, and those of the layers below it, the highest first. */
function foldersOf(mounts: readonly Mount[]): readonly string[] | undefined {
  const [mount, ...others] = mounts
  if (!mount || others.length > 0) return undefined
  const folders = mount.type === 'bind' ? [mount.source] : mount.type === 'overlay' ? overlaid(mount) : []
  return folders.length > 0 && folders.every(isAbsolute) ? folders : undefined
}

function overlaid({ options }: Mount): readonly string[] {
  const [upper, ...moreUpper] = valuesOf('upperdir=', options)
  const [lower, ...moreLower] = valuesOf('lowerdir=', options)
  if (upper === undefined || moreUpper.length > 0 || moreLower.length > 0) return []
  return [upper, ...(lower?.split(':') ?? [])]
}

function valuesOf(option: string, options: readonly string[]): string[] {
  return options.filter(text => text.startsWith(option)).map(text => text.slice(option.length))
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..')
}
