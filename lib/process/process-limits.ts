import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

const NICENESS = 10

/** The maximum: pods and everything else on the node matter more. */
const OOM_SCORE = 1000

/** Gives this process the lowest priority for processors, and makes it the first to be killed if memory runs out. Children inherit both. */
export function lowerPriority(): void {
  setPriority(NICENESS)
  try {
    writeFileSync('/proc/self/oom_score_adj', `${OOM_SCORE}`)
  } catch {
    // Some machines forbid this. The process works without it.
  }
}

/**
 * Options of `fork` that limit the memory a helper can write to. The limits of V8 do not cover buffers. An allocation beyond the
 * limit throws in the helper, or ends it. Children inherit the limit. Source: RLIMIT_DATA in getrlimit(2), Linux 4.7 and newer.
 */
export function withDataLimit(kibibytes: number, flags: readonly string[]) {
  return { execPath: '/bin/sh', execArgv: ['-c', LIMITED, String(kibibytes), process.execPath, ...flags] }
}

/** Node cannot set this limit itself. The first argument is `$0`. */
const LIMITED = 'ulimit -d "$0" && exec "$@"'
