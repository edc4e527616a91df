import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { lazy } from '../../../lib/async/lazy.ts'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { readOwnFile } from '../../../lib/files/own-files.ts'
import type { Room } from '../../../lib/queues/fair-excess.ts'
import { createFairGate } from '../../../lib/queues/fair-gate.ts'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import {
  type CacheEntry,
  discardUnused,
  findExcess,
  listCaches,
  measureCache,
  type Pruning,
  removeDiscarded,
} from './prune-caches.ts'

/** Keeps the caches within their limit. */
export interface CacheAccounts {
  /** A cache was used: it will be measured, and counted for its owners. */
  note(name: string, owners: readonly string[]): void
  /** Resolves when everything noted so far has been measured. */
  settled(): Promise<void>
}

export interface CacheAccountsOptions {
  /** The state folder. */
  readonly root: string
  readonly pruning: Pruning
  readonly room: (dir: string) => Promise<Room>
  readonly afterMs: number
  readonly warn: (error: unknown) => void
}

/** A cache that takes long to measure does not block those of others. */
const PLACES = { count: 2, perOwner: 1, what: 'measurement of a cache' }

/** Owner of caches that the ledger does not know. */
const NOBODY = ['']

export function createCacheAccounts({ root, pruning, room, afterMs, warn }: CacheAccountsOptions): CacheAccounts {
  const { dir } = pruning
  const inTurn = createOneByOne()
  const sweep = createOneByOne()
  const places = createFairGate(PLACES)
  const waiting = new Map<string, Set<string>>()
  const busy = new Set<Promise<void>>()

  const openLedger = lazy(async () => {
    const names = await listCaches(dir)
    const ledger = openCacheLedger(root, names)
    const known = new Set(ledger.entries().map(({ name }) => name))
    for (const name of names.filter(name => !known.has(name))) measureLater(name, [], () => mtimeOf(join(dir, name)))
    return ledger
  })
  const measure = async (name: string, findTime: () => Promise<number>) => {
    const owners = [...(waiting.get(name) ?? [])]
    // Uses from now on need another measurement.
    waiting.delete(name)
    const path = join(dir, name)
    if (!existsSync(path)) return
    const [bytes, usedAt] = [await measureCache(path), await findTime()]
    await inTurn(async () => {
      const ledger = await openLedger()
      ledger.note({ name, owners, bytes, usedAt })
      for (const excess of findExcess(ledger.entries(), await room(dir)))
        if (await discardUnused(pruning, excess.name)) ledger.forget(excess.name)
      await ledger.save()
    })
    await sweep(() => removeDiscarded(pruning))
  }
  const measureLater = (name: string, owners: readonly string[], findTime: () => Promise<number>) => {
    const known = waiting.get(name)
    if (known !== undefined) {
      for (const owner of owners) known.add(owner)
      return
    }
    waiting.set(name, new Set(owners))
    const { signal } = new AbortController()
    const chargedTo = ownedBy(...(owners.length > 0 ? owners : NOBODY))
    track(places.run({ owners: chargedTo, key: name, signal }, () => measure(name, findTime)))
  }
  const track = (work: Promise<void>) => {
    const done = work.catch(warn).finally(() => busy.delete(done))
    busy.add(done)
  }
  return {
    // Later: the run that used the cache still continues.
    note: (name, owners) => track(delay(afterMs).then(() => measureLater(name, owners, async () => Date.now()))),
    async settled() {
      while (busy.size > 0) await Promise.all(busy)
    },
  }
}

function mtimeOf(path: string): Promise<number> {
  return stat(path).then(({ mtimeMs }) => mtimeMs)
}

/** Owners and sizes of the caches. Stored in a file of root, because a cache belongs to the build user while it is in use. */
export interface CacheLedger {
  entries(): CacheEntry[]
  /** Records a use of a cache, and adds its owners. */
  note(use: CacheEntry): void
  forget(name: string): void
  save(): Promise<void>
}

/** The latest owners of a cache; earlier ones are dropped. */
const MAX_OWNERS = 100

const size = v.pipe(v.number(), v.minValue(0))

const schema = v.array(v.object({ name: v.string(), owners: v.array(v.string()), bytes: size, usedAt: size }))

/** `names`: existing caches. The file may lack some of them. */
function openCacheLedger(root: string, names: readonly string[]): CacheLedger {
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

/** The ledger as last written. Empty if there is none, or if others could have written it. */
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
