import { join } from 'node:path'
import * as v from 'valibot'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { readOwnFile } from '../../../lib/files/own-file.ts'
import type { CacheEntry } from './prune-caches.ts'

/** Whose the caches of sources are, and what they take. In a file of root's: a cache is the build user's while it is used. */
export interface CacheLedger {
  entries(): CacheEntry[]
  /** A cache was used, by these owners too. */
  note(use: CacheEntry): void
  forget(name: string): void
  save(): Promise<void>
}

/** Of those who have used a cache, the latest. */
const MAX_OWNERS = 100

const size = v.pipe(v.number(), v.minValue(0))
const schema = v.array(v.object({ name: v.string(), owners: v.array(v.string()), bytes: size, usedAt: size }))

/** `names`: the caches that there are. The file may know nothing of some. */
export function openCacheLedger(root: string, names: readonly string[]): CacheLedger {
  const there = new Set(names)
  const known = readCacheLedger(root).filter(({ name }) => there.has(name))
  const entries = new Map(known.map(entry => [entry.name, entry]))
  return {
    entries: () => [...entries.values()],
    note({ name, bytes, owners, usedAt }) {
      const all = new Set([...owners, ...(entries.get(name)?.owners ?? [])])
      entries.set(name, { name, bytes, owners: [...all].slice(0, MAX_OWNERS), usedAt })
    },
    forget: name => void entries.delete(name),
    save: () => writeAtomically(ledgerFile(root), JSON.stringify([...entries.values()]), { mode: 0o600 }),
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
