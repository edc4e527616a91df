import { asTotal, MAX_ACTIVITIES } from './counters.ts'
import { Activity } from './nix-log-line.ts'

/** What nix said that it will fetch, by activity and kind. */
export interface Announcements {
  /** False when it is nothing new. */
  set(id: number, kind: TransferKind, bytes: number): boolean
  /** What was announced stays counted. */
  stop(id: number): void
  total(): number
}

export function createAnnouncements(): Announcements {
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

export type TransferKind = typeof Activity.fileTransfer | typeof Activity.copyPath

export function isTransfer(type: unknown): type is TransferKind {
  return type === Activity.fileTransfer || type === Activity.copyPath
}
