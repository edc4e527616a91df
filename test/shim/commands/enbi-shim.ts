import type { Bed } from '../../node/bed.ts'
import { SHIM_MAIN } from '../../node/own-programs.ts'
import type { RunOptions, RunResult } from '../../node/run.ts'

/** Runs the program inside a bed; that it fails is an answer, too. */
export function enbiShim(bed: Bed, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return bed.run(process.execPath, [SHIM_MAIN, ...args], { reject: false, ...options })
}
