import { Activity } from './nix-log-line.ts'

/** Sums up progress over activities that start and stop. */
export interface Counters {
  start(id: number): void
  /** Takes `[done, expected, …]`. Returns false if nothing changed, or the activity is unknown. */
  set(id: number, fields: readonly unknown[]): boolean
  /** What the activity has done remains in the total. */
  stop(id: number): void
  total(): Count
}

interface Count {
  readonly done: number
  readonly expected: number
}

/** Limit of concurrent activities. Nix has some dozens, but a builder can fake any number. */
export const MAX_ACTIVITIES = 4096

export function createCounters(): Counters {
  const running = new Map<number, Count>()
  const sum = { done: 0, expected: 0 }
  return {
    start(id) {
      if (running.size < MAX_ACTIVITIES && !running.has(id)) running.set(id, { done: 0, expected: 0 })
    },
    set(id, [done, expected]) {
      const before = running.get(id)
      if (before === undefined || !isCount(done) || !isCount(expected)) return false
      if (before.done === done && before.expected === expected) return false
      const now = { done, expected: Math.max(done, expected) }
      running.set(id, now)
      sum.done += now.done - before.done
      sum.expected += now.expected - before.expected
      return true
    },
    stop(id) {
      const { done, expected } = running.get(id) ?? { done: 0, expected: 0 }
      sum.expected += done - expected
      running.delete(id)
    },
    total: () => ({ done: asTotal(sum.done), expected: asTotal(sum.expected) }),
  }
}

/** Larger numbers are ignored: a program can write anything. */
const MAX_COUNT = 2 ** 40

export function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT
}

/** Limits a sum to what a number represents exactly. */
function asTotal(sum: number): number {
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}

/** Bytes that nix announced to fetch, by activity and kind. */
export interface AnnouncedTransfers {
  /** Returns false if nothing changed. */
  set(id: number, kind: TransferKind, bytes: number): boolean
  /** Announced bytes remain in the total. */
  stop(id: number): void
  total(): number
}

export type TransferKind = typeof Activity.fileTransfer | typeof Activity.copyPath

export function createAnnouncedTransfers(): AnnouncedTransfers {
  const announced = new Map<number, Map<TransferKind, number>>()
  let sum = 0
  return {
    set(id, kind, bytes) {
      const kinds = announced.get(id) ?? new Map<TransferKind, number>()
      const before = kinds.get(kind) ?? 0
      if (before === bytes || (announced.size >= MAX_ACTIVITIES && !announced.has(id))) return false
      announced.set(id, kinds.set(kind, bytes))
      sum += bytes - before
      return true
    },
    stop: id => void announced.delete(id),
    total: () => asTotal(sum),
  }
}

export function isTransfer(type: unknown): type is TransferKind {
  return type === Activity.fileTransfer || type === Activity.copyPath
}

/** Names of the derivations that are being built, by activity of nix. */
export interface RunningBuilds {
  start(id: number, name: string): void
  stop(id: number): void
  name(id: number): string | undefined
  /** The running build that started last. */
  latest(): string | undefined
}

export function createRunningBuilds(): RunningBuilds {
  const names = new Map<number, string>()
  let latest: string | undefined
  return {
    start(id, name) {
      if (names.size >= MAX_ACTIVITIES) return
      names.set(id, name)
      latest = name
    },
    stop(id) {
      const name = names.get(id)
      if (!names.delete(id) || name !== latest) return
      latest = [...names.values()].at(-1)
    },
    name: id => names.get(id),
    latest: () => latest,
  }
}
