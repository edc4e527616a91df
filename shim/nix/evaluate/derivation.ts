import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import type { PackageHints } from '../../../recipes/built-package.ts'
import { describeRecipe, type FlakeRecipe } from '../../../recipes/recipe.ts'
import { MAX_NAME_LENGTH, MAX_NAMES } from './nix-language.ts'
import { packageSchema, readHints } from './package-hints.ts'

/** A package that can be built. */
export interface Derivation {
  /** `/nix/store/<hash>-<name>.drv` */
  readonly drvPath: string
  /** The package's default output. */
  readonly output: string
  /** The version of the Nix language's interpreter: `2.8.0`. */
  readonly nixVersion: string
  readonly package?: PackageHints
}

/** Names as our expressions return them. */
export const nameSchema = v.pipe(v.string(), v.maxLength(MAX_NAME_LENGTH))
export const namesSchema = v.pipe(v.array(nameSchema), v.maxLength(MAX_NAMES))

export const derivationSchema = v.object({
  kind: v.literal('derivation'),
  drvPath: v.pipe(v.string(), v.regex(/^\/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+\.drv$/)),
  output: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+._?=-]+$/)),
  nixVersion: v.string(),
  /** The system that the package is built on, if that matters. */
  system: v.optional(v.nullable(nameSchema)),
  package: v.optional(packageSchema),
})

/** Throws EvaluationFailed if the hints are invalid. */
export function toDerivation(
  recipe: FlakeRecipe,
  { package: said, system: _, ...derivation }: v.InferOutput<typeof derivationSchema>,
): Derivation {
  const hints = readHints(recipe, said)
  return hints ? { ...derivation, package: hints } : derivation
}

/** Parses the answer of one of our expressions. Throws EvaluationFailed if the text does not match the schema. */
export function parseAnswer<Answer>(
  recipe: FlakeRecipe,
  schema: v.GenericSchema<unknown, Answer>,
  stdout: string,
): Answer {
  try {
    return v.parse(schema, JSON.parse(stdout))
  } catch {
    // No cause: the error of the parser would keep the whole answer in memory.
    throw new FinalError('EvaluationFailed', `nix gave an unexpected answer about ${describeRecipe(recipe)}`)
  }
}
