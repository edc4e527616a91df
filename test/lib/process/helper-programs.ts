import type { HelperProgram } from '../../../lib/process/helper-pool.ts'

/** A helper whose program stands in this folder. */
export function programOf(name: string): HelperProgram {
  const file = new URL(`./${name}.ts`, import.meta.url)
  return { file, nodeFlags: ['--max-old-space-size=32'], arenas: 1, graceMs: 1000, isReused: false }
}
