import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describeSize } from '../../lib/text/units.ts'
import { STORE_DIR } from '../../recipes/store-path.ts'
import type { Config } from '../config/config.ts'
import { askContainerd } from './check-containerd.ts'
import { type Check, ok, warning } from './probes/finding.ts'

/** With less than this, a build is likely to fail with DiskFull. */
const LEAST_BYTES = 1024 ** 3
const LEAST_SHARE = 0.05

/** Free space where builds, their results and images are written. */
export function checkDisk({ stateDir, containerd }: Pick<Config, 'stateDir' | 'containerd'>): Check {
  return {
    name: 'disk',
    async look(signal) {
      const images = await askContainerd(containerd.address, signal).then(
        ({ imageFolder }) => imageFolder,
        () => undefined, // Another check reports it.
      )
      const folders = [stateDir, STORE_DIR, images].filter(folder => folder !== undefined)
      const rooms = await Promise.all(folders.map(roomIn))
      const full = rooms.filter(
        ({ bytes, share, files }) => bytes < LEAST_BYTES || share < LEAST_SHARE || files < LEAST_SHARE,
      )
      if (full.length > 0)
        return warning(full.map(describe).join('; '), 'collect garbage: nix-collect-garbage, crictl rmi --prune')
      return ok(rooms.map(describe).join('; '))
    },
  }
}

export interface Room {
  readonly folder: string
  readonly bytes: number
  /** Free share of the file system and of its inodes. */
  readonly share: number
  readonly files: number
}

export async function roomIn(folder: string): Promise<Room> {
  const { bavail, bsize, blocks, files, ffree } = await statfs(await nearestFolder(folder))
  return { folder, bytes: bavail * bsize, share: bavail / blocks, files: files === 0 ? 1 : ffree / files }
}

function describe({ folder, bytes, files }: Room): string {
  return `${folder}: ${describeSize(bytes)} free${files < LEAST_SHARE ? `, ${Math.round(files * 100)} % of inodes` : ''}`
}

/** The path itself, or the nearest existing folder above it, whose file system will contain the path. */
export async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined)
    if (found || folder === dirname(folder)) return folder
  }
}
