import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The path itself, or else the nearest folder above it that is there: what will be made belongs to its file system. */
export async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined)
    if (found || folder === dirname(folder)) return folder
  }
}
