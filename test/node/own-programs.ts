import { join } from 'node:path'

const TOP = join(import.meta.dirname, '../..')
/** Where bundle-programs.ts has put them; unset outside of vitest. */
const { ENBI_BUNDLED_PROGRAMS: bundled } = process.env

/** What Node is to run: the program as it is packaged, or its sources. */
export const SHIM_MAIN = mainOf('shim')
export const CONTROLLER_MAIN = mainOf('controller')

function mainOf(program: string): string {
  return bundled === undefined ? join(TOP, program, 'main.ts') : join(bundled, program, 'main.js')
}
