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
