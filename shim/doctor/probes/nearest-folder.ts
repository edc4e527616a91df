import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The path itself, or the nearest existing folder above it, whose file system will contain the path. */
export async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined)
    if (found || folder === dirname(folder)) return folder
  }
}
