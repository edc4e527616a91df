import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import type { PackageSetRecipe } from '../../../recipes/recipe.ts'
import { type Derivation, derivationSchema, nameSchema, namesSchema, parseAnswer, toDerivation } from './derivation.ts'
import { listNames, nearestNames, showName } from './show-names.ts'

const missingSchema = v.object({ name: v.string(), part: v.string(), near: namesSchema })

const answerSchema = v.variant('kind', [
  derivationSchema,
  v.object({ kind: v.literal('value'), name: v.string(), type: nameSchema }),
  v.object({ kind: v.literal('missing'), count: v.number(), missing: v.array(missingSchema) }),
  v.object({ kind: v.literal('system'), systems: namesSchema }),
  v.object({ kind: v.literal('none'), outputs: namesSchema }),
])

/** Throws AttributeMissing that names every missing package, SystemUnsupported, or EvaluationFailed when the text is no answer. */
export function readPackageSet(recipe: PackageSetRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, answerSchema, stdout)
  const { flake, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      return toDerivation(recipe, answer)
    case 'none':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} is no package set: it has neither legacyPackages nor packages, ${listNames('its outputs are', answer.outputs) || 'and no outputs'}`,
      )
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${listNames('only for', [...new Set(answer.systems)]) || 'and for no other system'}`,
      )
    case 'missing': {
      const named = answer.missing.map(({ name, ...found }) => `${name}${suggest(found)}`).join(', ')
      const more = answer.count > answer.missing.length ? ` and ${answer.count - answer.missing.length} more` : ''
      const what = answer.count === 1 ? 'no package' : 'none of the packages'
      throw new FinalError('AttributeMissing', `${flake.url} has ${what} ${named}${more} for ${system}`)
    }
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${showName(answer.name)} of ${flake.url} for ${system} is no package but a ${answer.type}`,
      )
  }
}

function suggest({ part, near }: Pick<v.InferOutput<typeof missingSchema>, 'part' | 'near'>): string {
  const meant = nearestNames(part, near)
  return meant.length === 0 ? '' : ` (did you mean ${meant.slice(0, MAX_MEANT).map(showName).join(' or ')}?)`
}

/** Names of which each may have been meant. */
const MAX_MEANT = 3
