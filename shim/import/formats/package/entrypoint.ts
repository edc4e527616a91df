import { join } from 'node:path'
import { quote } from '../../../../lib/text/quote.ts'
import type { Closure } from '../../store/closure.ts'
import { isProgram, listPrograms } from '../../store/package-files.ts'
import type { PackageConfig } from './config.ts'
import { packageRefusal } from './package-refusal.ts'

interface Wanted {
  /** The image has the programs of it. */
  readonly closure: Closure
  readonly mainProgram: string | undefined
  readonly config: PackageConfig
}

/**
 * Path of the program that the image runs; undefined when the package says itself what is run. Throws NotAnImage when
 * there is none, or more than one.
 */
export async function findEntrypoint(folder: string, wanted: Wanted): Promise<string | undefined> {
  const { closure, mainProgram, config } = wanted
  if (config.Entrypoint !== undefined) return undefined
  if (await isProgram(folder, closure)) return folder
  const programs = await listPrograms(folder, closure)
  const chosen = choosePrograms(programs, mainProgram)
  const [only, ...others] = chosen
  if (only !== undefined && others.length === 0) return join(folder, 'bin', only)
  if (config.Cmd) return undefined
  throw packageRefusal(explain(programs, mainProgram))
}

/** A name that is none of a file in `bin` is in no list of these. */
function choosePrograms(programs: readonly string[], mainProgram: string | undefined): readonly string[] {
  return mainProgram === undefined ? programs : programs.filter(name => name === mainProgram)
}

const ADVICE = 'set meta.mainProgram or passthru.imageConfig.Entrypoint'

function explain(programs: readonly string[], mainProgram: string | undefined): string {
  if (programs.length === 0) return `it has no program in bin: ${ADVICE}`
  if (mainProgram === undefined) return `it has several programs in bin (${listed(programs)}): ${ADVICE}`
  return `its meta.mainProgram is ${quote(mainProgram)}, and in bin there is ${listed(programs)}`
}

const MAX_LISTED = 20

function listed(programs: readonly string[]): string {
  const shown = programs.slice(0, MAX_LISTED).map(quote).join(', ')
  return programs.length > MAX_LISTED ? `${shown} and ${programs.length - MAX_LISTED} more` : shown
}
