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
