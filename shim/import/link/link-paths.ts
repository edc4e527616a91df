import {
  copyFileSync,
  constants as fs,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf } from '../../../lib/errors.ts'
import {
  commonMounts,
  type FileSystemPath,
  fileSystemPath,
  type MountPoint,
  openPrivateMount,
  parseMountInfo,
  pathThrough,
} from './mounts.ts'

/** Two paths, of the store and of a snapshot's folder, between which files can be linked or copied. */
export interface LinkPaths {
  /** `link`: by hard links between the two paths below. `clone`: by copies that share their bytes (reflinks). `copy`: by plain copies. */
  readonly kind: 'link' | 'clone' | 'copy'
  /** For people: continues "layers of store paths are linked". */
  readonly how: string
  /** The folder of the store to link from. */
  readonly store: string
  /** The folder to link into. */
  readonly folder: string
  close(): Promise<void>
}

export interface LinkPathsOptions {
  /** `/nix/store` */
  readonly store: string
  /** Name of something in the store that is a file, or has one. */
  readonly probe: string
  /** The folder for the files. */
  readonly folder: string
  /** Prefix of folders that are made, and removed, for a mount. */
  readonly viewFolder: string
}

/** Finds a way by trying it with a real file. Throws if nothing can be written into the folder. */
export async function openLinkPaths(options: LinkPathsOptions): Promise<LinkPaths> {
  const { store, folder } = options
  const file = findFile(join(store, options.probe))?.slice(store.length)
  if (file === undefined) return copyPaths(options, 'there is no file to try it with')
  const direct = { store, folder }
  if (canLink(direct, file)) return { kind: 'link', how: 'by hard links', ...direct, close: async () => {} }
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const [from, to] = [store, folder].map(path => fileSystemPath(mounts, realpathSync(path)))
  if (!from || !to || from.device !== to.device) return copyPaths(options, 'the store is on another file system', file)
  const common = commonMounts(mounts, from, to)
  return (
    throughMount(common, { from, to, file }, options) ?? (await throughOwnMount(common, { from, to, file }, options))
  )
}

interface Way {
  readonly from: FileSystemPath
  readonly to: FileSystemPath
  /** The file that it is tried with: its path from the store, with a leading slash. */
  readonly file: string
}

/** Looks for an existing mount, such as one of systemd's BindPaths. */
function throughMount(mounts: readonly MountPoint[], way: Way, options: LinkPathsOptions): LinkPaths | undefined {
  for (const mount of mounts) {
    const paths = pathsThrough(mount.path, mount, way)
    if (!mount.readOnly && areSame(paths, options) && canLink(paths, way.file))
      return { kind: 'link', how: `by hard links, through ${mount.path}`, ...paths, close: async () => {} }
  }
  return undefined
}

async function throughOwnMount(mounts: readonly MountPoint[], way: Way, options: LinkPathsOptions): Promise<LinkPaths> {
  let reason = 'no mount shows both the store and the snapshots'
  for (const mount of mounts.filter(({ readOnly }) => !readOnly)) {
    const opened = await openPrivateMount(mount.path, options.viewFolder).catch((error: unknown) => messageOf(error))
    if (typeof opened === 'string') {
      reason = `a mount that shows both the store and the snapshots cannot be made: ${opened}`
      continue
    }
    const paths = pathsThrough(opened.path, mount, way)
    let isOfUse = false
    try {
      isOfUse = areSame(paths, options) && canLink(paths, way.file)
    } finally {
      if (!isOfUse) await opened.close()
    }
    if (isOfUse)
      return { kind: 'link', how: 'by hard links, through a mount of its own', ...paths, close: () => opened.close() }
  }
  return copyPaths(options, reason, way.file)
}

function pathsThrough(folder: string, mount: MountPoint, { from, to }: Way) {
  return { store: pathThrough(folder, mount, from), folder: pathThrough(folder, mount, to) }
}

interface Paths {
  readonly store: string
  readonly folder: string
}

/** Another mount may cover what a mount seems to show. */
function areSame(paths: Paths, { store, folder }: LinkPathsOptions): boolean {
  return isSame(paths.store, store) && isSame(paths.folder, folder)
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map(path => statSync(path, { throwIfNoEntry: false }))
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino
}

const PROBE = '.enbi-shim-probe'

function canLink({ store, folder }: Paths, file: string): boolean {
  const link = join(folder, PROBE)
  try {
    linkSync(store + file, link)
  } catch (error) {
    // The file has as many links as it can have.
    if (hasCode(error, 'EMLINK')) return true
    if (hasCode(error, 'EXDEV', 'EPERM', 'ENOTSUP', 'EROFS')) return false
    throw error
  }
  rmSync(link)
  return true
}

function copyPaths({ store, folder }: LinkPathsOptions, why: string, file?: string): LinkPaths {
  const isClone = file !== undefined && canClone({ store, folder }, file)
  const how = `by ${isClone ? 'reflinks' : 'copies'}, as ${why}`
  return { kind: isClone ? 'clone' : 'copy', how, store, folder, close: async () => {} }
}

function canClone({ store, folder }: Paths, file: string): boolean {
  const clone = join(folder, PROBE)
  try {
    copyFileSync(store + file, clone, fs.COPYFILE_EXCL | fs.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    return false
  } finally {
    rmSync(clone, { force: true })
  }
}

/** The first file or symlink at or below a path: both can be linked. */
export function findFile(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats?.isFile() || stats?.isSymbolicLink()) return path
  if (!stats?.isDirectory()) return undefined
  for (const name of readdirSync(path)) {
    const found = findFile(join(path, name))
    if (found !== undefined) return found
  }
  return undefined
}
