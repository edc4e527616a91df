import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import type { StorePathRecipe } from '../../../recipes/recipe.ts'
import type { Derivation } from '../evaluate/derivation.ts'
import { storePathSchema } from './path-info.ts'

const resultSchema = v.tuple([v.object({ outputs: v.record(v.string(), v.nullable(storePathSchema)) })])

/** Arguments of nix that build the derivation and keep the result with a gc root. */
export function realisationArgs(derivation: Derivation, link: string): string[] {
  return ['build', '--json', installable(derivation), '--out-link', link]
}

/** Arguments of nix that fetch a store path, unless it is already there. */
export function fetchArgs({ storePath }: StorePathRecipe, link: string): string[] {
  return ['build', storePath, '--out-link', link]
}

/** `what` names the package in the message. Throws BuildInterrupted if the output is invalid. */
export function readRealisation(what: string, output: string, stdout: string): string {
  try {
    const [{ outputs }] = v.parse(resultSchema, JSON.parse(stdout))
    return v.parse(storePathSchema, outputs[output])
  } catch {
    throw new RetryableError('BuildInterrupted', `nix gave an unexpected answer about the build of ${what}`)
  }
}

/** Before 2.13 the path of a derivation stands for all of its outputs; later it stands for itself. */
function installable({ drvPath, output, nixVersion }: Derivation): string {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(nixVersion) ?? []
  return Number(major) > 2 || Number(minor) >= 13 ? `${drvPath}^${output}` : drvPath
}
