import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { readOwnFile } from '../own-file.ts'
import { replaceFile } from '../replace-file.ts'
import { type CacheEntry, measureCache } from './prune-caches.ts'

/** Whose the caches of sources are, and what they take. In a file of root's: a cache is the build user's while it is used. */
export interface CacheLedger {
  entries(): CacheEntry[]
  /** A cache was used just now. */
  note(use: Omit<CacheEntry, 'usedAt'>): void
  forget(name: string): void
  save(): Promise<void>
}

/** Of those who have used a cache, the latest. */
const MAX_OWNERS = 100

const size = v.pipe(v.number(), v.minValue(0))
const schema = v.array(v.object({ name: v.string(), owners: v.array(v.string()), bytes: size, usedAt: size }))

/** `names`: the caches that there are. Those that the file does not know are measured, and nobody's. */
export async function openCacheLedger(root: string, dir: string, names: readonly string[]): Promise<CacheLedger> {
  const written = new Map(readCacheLedger(root).map(entry => [entry.name, entry]))
  const entries = new Map<string, CacheEntry>()
  for (const name of names) entries.set(name, written.get(name) ?? (await lookAt(dir, name)))
  return {
    entries: () => [...entries.values()],
    note({ name, bytes, owners }) {
      const all = new Set([...owners, ...(entries.get(name)?.owners ?? [])])
      entries.set(name, { name, bytes, owners: [...all].slice(0, MAX_OWNERS), usedAt: Date.now() })
    },
    forget: name => void entries.delete(name),
    save: () => replaceFile(ledgerFile(root), JSON.stringify([...entries.values()]), 0o600),
  }
}

/** As it was written last. Empty when there is none, or none that can be trusted. */
export function readCacheLedger(root: string): CacheEntry[] {
  try {
    return v.parse(schema, JSON.parse(readOwnFile(root, ledgerFile(root)) ?? '[]'))
  } catch {
    return []
  }
}

function ledgerFile(root: string): string {
  return join(root, 'caches.json')
}

async function lookAt(dir: string, name: string): Promise<CacheEntry> {
  const path = join(dir, name)
  const { mtimeMs } = await stat(path)
  return { name, owners: [], bytes: await measureCache(path), usedAt: mtimeMs }
}
