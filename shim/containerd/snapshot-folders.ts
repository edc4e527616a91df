import { lstat } from 'node:fs/promises'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import { discardSnapshot, type Mount, prepareSnapshot, type Snapshotter } from './services/snapshots.ts'

/**
 * The folders of a snapshot and of those below it, highest first, read from the mounts of a temporary snapshot on top. Empty if
 * this process sees another file system than containerd. `unusable`: the snapshot's own folder is missing.
 */
export async function askFolders(snapshotter: Snapshotter, chainId: string): Promise<readonly string[] | 'unusable'> {
  const probe = await prepareSnapshot(snapshotter, chainId).catch(unlessFolderIsGone)
  if (!probe) return 'unusable'
  try {
    return (await visibleFolders(probe.mounts)).slice(1)
  } finally {
    await discardSnapshot(snapshotter, probe.key)
  }
}

function unlessFolderIsGone(error: unknown): undefined {
  if (!(error instanceof GrpcError) || !saysFolderIsMissing(error.details)) throw error
}

/** Recognizes containerd's message for a parent whose folder is missing. */
function saysFolderIsMissing(message: string): boolean {
  const at = message.indexOf('failed to stat parent: ')
  return at >= 0 && message.includes('no such file or directory', at)
}

/** Folders of a snapshot to be filled and of those below it. Empty if this process does not see them. */
export async function visibleFolders(mounts: readonly Mount[]): Promise<readonly string[]> {
  const paths = foldersOf(mounts) ?? []
  const isVisible = await lstat(paths[0] ?? '').then(
    () => true,
    () => false,
  )
  return isVisible ? paths : []
}

/**
 * The folder for the files of a snapshot to be filled: the source of containerd's bind mount for a first layer, else the upper
 * folder of its overlay. Undefined for mounts of any other form.
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
