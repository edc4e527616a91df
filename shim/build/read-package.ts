import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { FinalError } from '../errors.ts'
import { type Derivation, derivationSchema, nameSchema, namesSchema, parseAnswer, toDerivation } from './derivation.ts'
import type { PackageRecipe } from './recipe.ts'
import { listNames, MAX_LISTED, showName } from './show-names.ts'

const answerSchema = v.variant('kind', [
  derivationSchema,
  v.object({ kind: v.literal('value'), type: nameSchema }),
  v.object({ kind: v.literal('missing'), name: v.string(), names: namesSchema, outputs: namesSchema }),
  v.object({ kind: v.literal('system'), systems: namesSchema, outputs: namesSchema }),
  v.object({ kind: v.literal('none'), outputs: namesSchema }),
])

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed when the text is no answer, or the hints are of no use. */
export function readPackage(recipe: PackageRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, answerSchema, stdout)
  const { flake, packageName, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      return toDerivation(recipe, answer)
    case 'none':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no packages.${system}.${packageName}, and no packages at all: ${listNames('its outputs are', answer.outputs) || 'it has no outputs'}`,
      )
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${listNames('only for', answer.systems) || 'and for no other system'}${elsewhere(system, answer.outputs)}`,
      )
    case 'missing':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no package ${packageName} for ${system}${suggest(answer.name, answer.names)}${elsewhere(system, answer.outputs)}`,
      )
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${packageName} of ${flake.url} for ${system} is no package but a ${answer.type}`,
      )
  }
}

function suggest(name: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  if (names.length <= MAX_LISTED) return `, ${listNames('only', names)}`
  return `; did you mean ${showName(closest(name, [...names]))}? There are ${names.length}: ${listNames('', names).trimStart()}`
}

function elsewhere(system: string, outputs: readonly string[]): string {
  const others = outputs.filter(name => name !== 'packages')
  return listNames(`; the shim looks in packages.${system}, and not in the other outputs:`, others)
}
