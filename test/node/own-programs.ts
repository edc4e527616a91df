import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const TOP = join(import.meta.dirname, '../..')
/** The folder to which bundle-programs.ts has written them. Unset outside vitest. */
const { ENBI_BUNDLED_PROGRAMS: bundled } = process.env

/** The packaged program, or its sources if there is no bundle. */
export const SHIM_MAIN = mainOf('shim')
export const CONTROLLER_MAIN = mainOf('controller')
/** The plugin of kubectl. */
export const KUBECTL_MAIN =
  bundled === undefined ? join(TOP, 'shim/kubectl/main.ts') : join(bundled, 'kubectl/main.cjs')

/** Runs a builder for the tests. */
export const BUILDER_HOST =
  bundled === undefined ? join(TOP, 'test/shim/nix/builder-host.ts') : join(bundled, 'shim/builder-host.js')

/** The helper of imports in the process of a test. */
export const IMPORT_HELPER_PROGRAM =
  bundled === undefined ? undefined : pathToFileURL(join(bundled, 'shim/import-helper.js'))

function mainOf(program: string): string {
  return bundled === undefined ? join(TOP, program, 'main.ts') : join(bundled, program, 'main.js')
}
