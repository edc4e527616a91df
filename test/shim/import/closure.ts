import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { type Closure, openClosure } from '../../../shim/import/store/closure.ts'

/** Everything in a folder in place of the Nix store, as if one path of it referred to all the others. */
export function closureOf(storeDir: string): Promise<Closure> {
  return openClosure(join(storeDir, 'any'), () => infosIn(storeDir))
}

export async function infosIn(storeDir: string): Promise<StorePathInfo[]> {
  return (await readdir(storeDir)).map(name => storePathInfo(join(storeDir, name)))
}

export function storePathInfo(path: string, references: readonly string[] = []): StorePathInfo {
  return { path, narHash: '0'.repeat(64), narSize: 1, references }
}
