import type { Result } from '../result.ts'
import { measureArchiveImport } from './archive-import.ts'
import { measureStoreImport } from './store-import.ts'

export async function measureImport(): Promise<Result[]> {
  return [...(await measureArchiveImport()), ...(await measureStoreImport())]
}
