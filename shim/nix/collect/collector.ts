import type { Logger } from 'pino'
import { messageOf } from '../../../lib/errors.ts'
import { type CollectionLimits, type DiskRoom, planCollection } from './plan-collection.ts'

/** `nothing`: Nix has freed too little to make a difference. */
export type CollectionEnd = 'freed' | 'nothing' | 'failed'

export interface CollectorOptions {
  readonly limits: CollectionLimits
  /** Space on the disk of the store. */
  readonly room: () => Promise<DiskRoom>
  /** What collects garbage already, if the shim must not collect beside it. */
  readonly otherCollector: (signal: AbortSignal) => Promise<string | undefined>
  /** Has Nix delete garbage of about that many bytes, and returns how many it says that it has freed. Takes a bounded time. */
  readonly collect: (bytes: number, signal: AbortSignal) => Promise<number | undefined>
  /** Called after each run of Nix with the bytes that the disk got free. */
  readonly onEnd?: ((end: CollectionEnd, freed: number) => void) | undefined
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly now?: () => number
}

export interface Collector {
  /**
   * Collects garbage if the disk is low, and resolves when there is enough space or nothing left to free. Never rejects. Concurrent
   * calls share one collection. `isNew`: there may be garbage that the last collection did not find.
   */
  collectIfLow(signal: AbortSignal, isNew: boolean): Promise<void>
}

/** After a collection that freed nothing or all that there was, or while somebody else collects. */
const PAUSE_MS = 10 * 60_000
/** Nix counts a file as freed that another hard link keeps, so a run may free less than requested. */
const MAX_RUNS = 4
/** Nix stops when it has freed as much as requested, and rounds what it says. If it says less, there is no more garbage. */
const ROUNDED = 0.98
/** Less is what other programs write and delete meanwhile. */
const LEAST_BYTES = 1024 * 1024

export function createCollector(options: CollectorOptions): Collector {
  const { limits, room, otherCollector, collect, onEnd, logger, now = () => performance.now() } = options
  let pausedUntil = 0
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let known: string | undefined

  const isAlone = async (signal: AbortSignal) => {
    const other = await otherCollector(signal)
    if (other !== undefined && other !== known)
      logger.warn({ other }, 'the disk of the Nix store is low, and the shim leaves garbage to another collector')
    known = other
    if (other !== undefined) pausedUntil = now() + PAUSE_MS
    return other === undefined
  }
  /** Returns whether another run may free more. */
  const runOnce = async (bytes: number, before: DiskRoom, signal: AbortSignal): Promise<boolean> => {
    logger.info({ free: before.free, wanted: bytes }, 'the disk of the Nix store is low: Nix collects garbage')
    let end: CollectionEnd = 'failed'
    let freed = 0
    let isAll = false
    try {
      const said = await collect(bytes, signal)
      isAll = said !== undefined && said < bytes * ROUNDED
      freed = Math.max(0, (await room()).free - before.free)
      // Others may write meanwhile what Nix frees, and Nix may say so of files that a hard link keeps.
      end = Math.max(freed, said ?? 0) < LEAST_BYTES ? 'nothing' : 'freed'
      logger.info({ freed }, 'Nix has collected garbage')
    } catch (error) {
      if (!signal.aborted) logger.warn({ reason: messageOf(error) }, 'Nix cannot collect garbage')
    }
    onEnd?.(end, freed)
    if (end !== 'freed' || isAll) pausedUntil = now() + PAUSE_MS
    return end === 'freed' && !isAll
  }
  const run = async (signal: AbortSignal) => {
    try {
      for (let runs = 0; runs < MAX_RUNS && !signal.aborted; runs += 1) {
        const before = await room()
        const bytes = planCollection(before, limits)
        if (bytes === undefined || (runs === 0 && !(await isAlone(signal)))) return
        if (!(await runOnce(bytes, before, signal))) return
      }
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the disk of the Nix store cannot be watched')
    }
  }
  const start = (signal: AbortSignal) => {
    running = run(signal).finally(() => {
      running = undefined
    })
    return running
  }
  return {
    async collectIfLow(signal, isNew) {
      if (!isNew) return running ?? (now() < pausedUntil ? undefined : start(signal))
      if (!running) return start(signal)
      // The running one may have looked for garbage before this was garbage.
      next ??= running.then(() => {
        next = undefined
        return running ?? start(signal)
      })
      return next
    },
  }
}
