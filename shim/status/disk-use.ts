import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { shareAnswer } from '../../lib/async/lazy.ts'
import { messageOf } from '../../lib/errors.ts'
import { isStorePath } from '../../recipes/store-path.ts'
import { importerFolders } from '../import/identity.ts'
import type { Builder } from '../nix/contract.ts'
import { createKeptImages, type KeptImages, type KeptImagesOptions } from './kept-images.ts'

export interface StoreUseOptions {
  /** Throws while builds are impossible. */
  readonly builder: () => Promise<Pick<Builder, 'pathInfo'>>
}

export interface StoreUse {
  readonly paths: number
  /** Sum of their NAR sizes. */
  readonly narBytes: number
  /** Why the size is unknown. */
  readonly problem: string | undefined
}

export interface FolderUse {
  readonly files: number
  /** Sum of the files' lengths; for more than `MAX_MEASURED` files, an estimate from that many. */
  readonly bytes: number
}

export interface DiskUseOptions extends KeptImagesOptions, StoreUseOptions {
  /** Absolute path. */
  readonly stateDir: string
  /** Folder of the run logs. */
  readonly logs: () => string
}

/** Disk space that the shim uses, and the images that it made. */
export interface DiskUse extends KeptImages {
  readonly store: StoreUse
  readonly digests: FolderUse
  readonly plans: FolderUse
  readonly logs: FolderUse
}

/** Takes a bounded time and never throws. Concurrent calls share one measurement. */
export function createDiskUse({ stateDir, logs, ...options }: DiskUseOptions): () => Promise<DiskUse> {
  const keptImages = createKeptImages(options)
  const storeUse = createStoreUse(options)
  const { digests, plans } = importerFolders(stateDir)
  return shareAnswer(async () => {
    const kept = await keptImages()
    return {
      ...kept,
      store: await storeUse(kept.images.map(({ storePath }) => storePath)),
      digests: await folderUse(digests),
      plans: await folderUse(plans),
      logs: await folderUse(logs()),
    }
  })
}

const NO_PATHS: StoreUse = { paths: 0, narBytes: 0, problem: undefined }
const STORE_LIMIT_MS = 5000
/** With their dependencies, nix's answer about more paths would exceed the longest answer that is read. */
const MAX_PATHS = 1000

/**
 * The size of store paths and their closure. One set of paths needs one query, because nix's answer never changes.
 * Takes a bounded time and never throws.
 */
export function createStoreUse({
  builder,
}: StoreUseOptions): (paths: readonly (string | undefined)[]) => Promise<StoreUse> {
  let known = { paths: '', use: NO_PATHS }
  const ask = async (paths: readonly string[]): Promise<StoreUse> => {
    if (paths.length > MAX_PATHS) throw new Error(`these are more than ${MAX_PATHS} store paths`)
    const { pathInfo } = await builder()
    const signal = AbortSignal.timeout(STORE_LIMIT_MS)
    const existing = await pathInfo(paths, { recursive: false, signal })
    if (existing.length === 0) return NO_PATHS
    const roots = existing.map(({ path }) => path)
    const closure = await pathInfo(roots, { recursive: true, signal })
    const narBytes = closure.reduce((sum, { narSize }) => sum + narSize, 0)
    return { paths: closure.length, narBytes, problem: undefined }
  }
  return async paths => {
    const unique = [...new Set(paths)].filter(isKnownPath).toSorted()
    const key = unique.join(' ')
    try {
      if (key !== known.paths) known = { paths: key, use: await ask(unique) }
      return known.use
    } catch (error) {
      return { ...NO_PATHS, problem: messageOf(error) }
    }
  }
}

/** The label is untrusted: other clients of containerd may write it. */
function isKnownPath(path: string | undefined): path is string {
  return path !== undefined && isStorePath(path)
}

/** Maximum number of files that are measured, and how many concurrently. */
const MAX_MEASURED = 5000
const CONCURRENCY = 16

/** The files directly in a folder. A missing or unreadable folder counts as empty. */
export async function folderUse(folder: string): Promise<FolderUse> {
  const names = await readdir(folder).catch(() => [])
  const sample = names.slice(0, MAX_MEASURED)
  // A file may be removed at any moment.
  const sizeOf = async (name: string) => (await lstat(join(folder, name)).catch(() => undefined))?.size ?? 0
  const sizes = await pMap(sample, sizeOf, { concurrency: CONCURRENCY })
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return { files: names.length, bytes: Math.round((bytes * names.length) / Math.max(1, sample.length)) }
}
