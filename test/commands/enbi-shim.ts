import type { Bed } from '../node/bed.ts'
import type { RunOptions, RunResult } from '../node/run.ts'
import { MAIN } from '../node/shim.ts'

/** Runs the program inside a bed; that it fails is an answer, too. */
export function enbiShim(bed: Bed, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return bed.run(process.execPath, [MAIN, ...args], { reject: false, ...options })
}
