import type { Logger } from 'pino'
import { pause } from '../../../lib/async/retry.ts'
import { messageOf } from '../../../lib/errors.ts'
import { type CollectionLimits, type DiskRoom, planCollection } from './plan-collection.ts'

/** `nothing`: Nix has freed too little to make a difference. */
export type CollectionEnd = 'freed' | 'nothing' | 'failed'

export interface CollectorOptions {
  readonly limits: CollectionLimits
  /** Space on the disk of the store. */
  readonly room: () => Promise<DiskRoom>
  /** What collects garbage of this low disk already, if the shim must not collect beside it. */
  readonly otherCollector: (room: DiskRoom, signal: AbortSignal) => Promise<string | undefined>
  /** Has Nix delete garbage of about that many bytes, and returns how many it says that it has freed. Takes a bounded time. */
  readonly collect: (bytes: number, signal: AbortSignal) => Promise<number | undefined>
  /** Called after each run of Nix with the bytes that the disk got free. */
  readonly onEnd?: ((end: CollectionEnd, freed: number) => void) | undefined
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly now?: () => number
  readonly wait?: typeof pause
}

export interface Collector {
  /**
   * Collects garbage if the disk is low, and resolves when there is enough space or nothing left to free. Never rejects. Concurrent
   * calls share one collection. `isNew`: there may be garbage that the last collection did not find. If such garbage was worth
   * nearly nothing several times in a row, it is left to a later call.
   */
  collectIfLow(signal: AbortSignal, isNew: boolean): Promise<void>
}

/** After a collection that freed nothing or all that there was, or while somebody else collects. */
const PAUSE_MS = 10 * 60_000
/** For new garbage: after a collection that freed nearly nothing. Doubles with each further one in a row, up to the pause above. */
const SHORT_PAUSE_MS = 5_000
/** The kubelet waits for the answer about an image, and looks after no pod meanwhile. */
const LONGEST_WAIT_MS = 20_000
/** A smaller share of what was wanted is nearly nothing, unless it is as much as an image has. */
const LITTLE = 0.01
const LITTLE_BYTES = 64 * 1024 * 1024
/** Nix counts a file as freed that another hard link keeps, so a run may free less than requested. */
const MAX_RUNS = 4
/** Nix stops when it has freed as much as requested, and rounds what it says. If it says less, there is no more garbage. */
const ROUNDED = 0.98
/** Less is what other programs write and delete meanwhile. */
const LEAST_BYTES = 1024 * 1024

export function createCollector(options: CollectorOptions): Collector {
  const { limits, room, otherCollector, collect, onEnd, logger, now = () => performance.now(), wait = pause } = options
  const pauses = createPauses(now)
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let known: string | undefined

  const isAlone = async (low: DiskRoom, signal: AbortSignal) => {
    const other = await otherCollector(low, signal)
    if (other !== undefined && other !== known)
      logger.warn({ other }, 'the disk of the Nix store is low, and the shim leaves garbage to another collector')
    known = other
    if (other !== undefined) pauses.afterOther()
    return other === undefined
  }
  /** Returns whether another run may free more. */
  const runOnce = async (bytes: number, before: DiskRoom, signal: AbortSignal): Promise<boolean> => {
    const { free, inodes } = before
    const low = { free, wanted: bytes, ...(inodes && { freeInodes: inodes.free }) }
    logger.info(low, 'the disk of the Nix store is low: Nix collects garbage')
    let end: CollectionEnd = 'failed'
    let freed = 0
    let most = 0
    let isAll = false
    try {
      const said = await collect(bytes, signal)
      isAll = said !== undefined && said < bytes * ROUNDED
      freed = Math.max(0, (await room()).free - free)
      // Others may write meanwhile what Nix frees, and Nix may say so of files that a hard link keeps.
      most = Math.max(freed, said ?? 0)
      end = most < LEAST_BYTES ? 'nothing' : 'freed'
      logger.info({ freed }, 'Nix has collected garbage')
    } catch (error) {
      if (!signal.aborted) logger.warn({ reason: messageOf(error) }, 'Nix cannot collect garbage')
    }
    onEnd?.(end, freed)
    const mayFreeMore = end === 'freed' && !isAll
    pauses.afterRun({ mayFreeMore, isLittle: end !== 'freed' || most < Math.min(bytes * LITTLE, LITTLE_BYTES) })
    return mayFreeMore
  }
  const run = async (signal: AbortSignal) => {
    try {
      for (let runs = 0; runs < MAX_RUNS && !signal.aborted; runs += 1) {
        const before = await room()
        const bytes = planCollection(before, limits)
        if (bytes === undefined) return pauses.end()
        if (runs === 0 && !(await isAlone(before, signal))) return
        if (!(await runOnce(bytes, before, signal))) return
      }
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the disk of the Nix store cannot be watched')
    }
  }
  const start = (signal: AbortSignal) => {
    pauses.begin()
    running = run(signal).finally(() => {
      running = undefined
    })
    return running
  }
  /** Starts one that finds all garbage of now: the running one may have looked before. */
  const startNext = async (signal: AbortSignal) => {
    await running
    const ms = pauses.leftForNew()
    if (ms > 0 && ms <= LONGEST_WAIT_MS) await wait(ms, signal)
    next = undefined
    if (signal.aborted || ms > LONGEST_WAIT_MS) return
    await (running ?? start(signal))
  }
  return {
    async collectIfLow(signal, isNew) {
      if (!isNew) return running ?? (pauses.left() > 0 ? undefined : start(signal))
      pauses.owe()
      next ??= startNext(signal)
      return next
    },
  }
}

/** When the next collection may start. */
function createPauses(now: () => number) {
  let until = 0
  let untilForNew = 0
  let inARow = 0
  /** Whether there is new garbage. */
  let isOwed = false
  return {
    left: () => (isOwed ? untilForNew : until) - now(),
    leftForNew: () => untilForNew - now(),
    owe() {
      isOwed = true
    },
    begin() {
      isOwed = false
    },
    afterRun({ mayFreeMore, isLittle }: { readonly mayFreeMore: boolean; readonly isLittle: boolean }) {
      if (!mayFreeMore) until = now() + PAUSE_MS
      inARow = isLittle ? inARow + 1 : 0
      if (isLittle) untilForNew = now() + Math.min(PAUSE_MS, SHORT_PAUSE_MS * 2 ** (inARow - 1))
    },
    afterOther() {
      until = now() + PAUSE_MS
      untilForNew = until
    },
    /** The disk has enough space again. */
    end() {
      until = 0
      untilForNew = 0
      inARow = 0
    },
  }
}
