/** One line of /proc/PID/mountinfo (proc(5)). */
export interface MountPoint {
  /** `major:minor` of the file system. */
  readonly device: string
  /** The mounted part of the file system: a path from its root. */
  readonly root: string
  /** Where it is mounted. */
  readonly path: string
  readonly readOnly: boolean
}

/** In the order of the text: later mounts come later. */
export function parseMountInfo(text: string): MountPoint[] {
  return text.split('\n').flatMap(line => {
    const [, , device, root, path, options] = line.split(' ')
    if (!device || !root || !path || options === undefined) return []
    return [
      { device, root: unescapeOctal(root), path: unescapeOctal(path), readOnly: options.split(',').includes('ro') },
    ]
  })
}

/** Space, tab, newline and backslash are written as octal numbers. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** A path within its file system, independent of mounts. */
export interface FileSystemPath {
  readonly device: string
  /** From the root of the file system. */
  readonly path: string
}

/** Finds an absolute path in its file system: below the latest of the longest mount points that cover it. */
export function fileSystemPath(mounts: readonly MountPoint[], path: string): FileSystemPath | undefined {
  let best: MountPoint | undefined
  for (const mount of mounts)
    if (below(mount.path, path) !== undefined && mount.path.length >= (best?.path.length ?? 0)) best = mount
  return best && { device: best.device, path: join(best.root, below(best.path, path) ?? '') }
}

/** Mount points of one file system that show both paths, unless another mount covers these. */
export function commonMounts(
  mounts: readonly MountPoint[],
  one: FileSystemPath,
  other: FileSystemPath,
): readonly MountPoint[] {
  if (one.device !== other.device) return []
  const shows = ({ root }: MountPoint, { path }: FileSystemPath) => below(root, path) !== undefined
  return mounts.filter(mount => mount.device === one.device && shows(mount, one) && shows(mount, other))
}

/** The path below a folder that the mount is bound to. */
export function pathThrough(folder: string, { root }: MountPoint, { path }: FileSystemPath): string {
  return join(folder, below(root, path) ?? '')
}

/** The rest of the path after the parent, with a leading slash; undefined if the path is not below it. */
function below(parent: string, path: string): string | undefined {
  if (parent === '/') return path === '/' ? '' : path
  if (path === parent) return ''
  return path.startsWith(`${parent}/`) ? path.slice(parent.length) : undefined
}

function join(parent: string, rest: string): string {
  if (rest === '') return parent
  return parent === '/' ? rest : `${parent}${rest}`
}
