import type { Mount } from './snapshots.ts'

/**
 * The folder that the files of a snapshot being filled go into, as containerd's overlayfs snapshotter gives its mounts: a
 * bind mount for a first layer, else an overlay's upper folder. Undefined for mounts of any other form.
 */
export function folderOf(mounts: readonly Mount[]): string | undefined {
  return foldersOf(mounts)?.[0]
}

/** That folder, and those of the layers below it, the highest first. */
export function foldersOf(mounts: readonly Mount[]): readonly string[] | undefined {
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
