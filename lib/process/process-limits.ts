import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

const NICENESS = 10

/** The highest there is: pods, and all else on the node, are worth more. */
const OOM_SCORE = 1000

/** Goes behind all others for the processors, and first where memory runs out. What is started from here inherits both. */
export function giveWay(): void {
  setPriority(NICENESS)
  try {
    writeFileSync('/proc/self/oom_score_adj', `${OOM_SCORE}`)
  } catch {
    // A machine that lets nobody do this has its reasons.
  }
}

/**
 * How `fork` runs a helper that may write to so much memory and no more. The limits of V8 say nothing about buffers. What is refused
 * throws in the helper, or ends it. Inherited by what the helper starts. Source: RLIMIT_DATA in getrlimit(2), Linux 4.7 and newer.
 */
export function withDataLimit(kibibytes: number, flags: readonly string[]) {
  return { execPath: '/bin/sh', execArgv: ['-c', LIMITED, String(kibibytes), process.execPath, ...flags] }
}

/** Node has no call for it. The first argument is `$0`. */
const LIMITED = 'ulimit -d "$0" && exec "$@"'
