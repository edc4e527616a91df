import type { Mount } from './snapshots.ts'

/**
 * The folder that the files of a snapshot being filled go into, as containerd's overlayfs snapshotter gives its mounts: a
 * bind mount for a first layer, else an overlay's upper folder. Undefined for mounts of any other form.
 */
export function folderOf(mounts: readonly Mount[]): string | undefined {
  const [mount, ...others] = mounts
  if (!mount || others.length > 0) return undefined
  if (mount.type === 'bind') return absolute(mount.source)
  if (mount.type !== 'overlay') return undefined
  const upper = mount.options.filter(option => option.startsWith(UPPER))
  return upper.length === 1 ? absolute(upper[0]?.slice(UPPER.length)) : undefined
}

const UPPER = 'upperdir='

function absolute(path: string | undefined): string | undefined {
  return path?.startsWith('/') && !path.split('/').includes('..') ? path : undefined
}
