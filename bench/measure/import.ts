import type { Result } from '../result.ts'
import { measureArchiveImport } from './archive-import.ts'
import { measureStoreImport } from './store-import.ts'

export async function measureImport(): Promise<Result[]> {
  // In this order: the other one deletes what it has imported.
  return [...(await measureStoreImport()), ...(await measureArchiveImport())]
}
