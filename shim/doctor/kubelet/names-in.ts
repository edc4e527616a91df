import { readdir } from 'node:fs/promises'
import { hasCode } from '../../../lib/error-code.ts'

/** Names in a folder of drop-ins, in the order in which they count; one that is not there has none. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted()
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}
