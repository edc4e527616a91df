import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import type { PackageHints } from '../../../recipes/built-package.ts'
import { describeRecipe, type FlakeRecipe } from '../../../recipes/recipe.ts'
import { MAX_NAME_LENGTH, MAX_NAMES } from './nix-language.ts'

/** Attributes that are read from a package. They can have any value. */
const packageSchema = v.object({ mainProgram: v.nullable(v.string()), imageConfig: v.unknown() })

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
  { package: reported, system: _, ...derivation }: v.InferOutput<typeof derivationSchema>,
): Derivation {
  const hints = readHints(recipe, reported)
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

/** Longest name that a program can have, in bytes. */
const MAX_NAME_BYTES = 255

/**
 * An expression in the Nix language that reads the hints of the package with that name in scope. Errors in `meta` are ignored, because
 * a package works without it. Errors in `imageConfig` are reported by nix, because that is only meant for us.
 */
export function hintsExpression(name: string): string {
  return `{
      mainProgram =
        let tried = builtins.tryEval (${name}.meta.mainProgram or null);
        in if tried.success && builtins.isString tried.value && builtins.stringLength tried.value <= ${MAX_NAME_BYTES} then tried.value else null;
      imageConfig = ${name}.imageConfig or null;
    }`
}

/** Returns undefined if there are no hints. Throws EvaluationFailed if `imageConfig` is invalid. */
function readHints(
  recipe: FlakeRecipe,
  reported: v.InferOutput<typeof packageSchema> | undefined,
): PackageHints | undefined {
  const mainProgram = reported?.mainProgram ?? undefined
  const imageConfig = readImageConfig(recipe, reported?.imageConfig ?? undefined)
  if (mainProgram === undefined && imageConfig === undefined) return undefined
  return { ...(mainProgram !== undefined && { mainProgram }), ...(imageConfig !== undefined && { imageConfig }) }
}

const MAX_IMAGE_CONFIG_BYTES = 64 * 1024

/** Parsers of JSON run out of stack if the nesting is deep. */
const MAX_DEPTH = 32

function readImageConfig(recipe: FlakeRecipe, value: unknown): PackageHints['imageConfig'] {
  if (value === undefined) return undefined
  const refuse = (what: string) =>
    new FinalError('EvaluationFailed', `imageConfig of ${describeRecipe(recipe)} is ${what}`)
  if (Array.isArray(value) || !v.is(v.record(v.string(), v.unknown()), value)) throw refuse('not an attribute set')
  if (isDeeper(value, MAX_DEPTH)) throw refuse(`nested more than ${MAX_DEPTH} levels deep`)
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_IMAGE_CONFIG_BYTES)
    throw refuse(`longer than ${MAX_IMAGE_CONFIG_BYTES} bytes as JSON`)
  return value
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(inner => isDeeper(inner, levels - 1))
}
