import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import type { PackageHints } from '../../../recipes/built-package.ts'
import { describeRecipe, type FlakeRecipe } from '../../../recipes/recipe.ts'

/** Attributes that are read from a package. They can have any value. */
export const packageSchema = v.object({ mainProgram: v.nullable(v.string()), imageConfig: v.unknown() })

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

const MAX_IMAGE_CONFIG_BYTES = 64 * 1024

/** Returns undefined if there are no hints. Throws EvaluationFailed if `imageConfig` is invalid. */
export function readHints(
  recipe: FlakeRecipe,
  said: v.InferOutput<typeof packageSchema> | undefined,
): PackageHints | undefined {
  const mainProgram = said?.mainProgram ?? undefined
  const imageConfig = readImageConfig(recipe, said?.imageConfig ?? undefined)
  if (mainProgram === undefined && imageConfig === undefined) return undefined
  return { ...(mainProgram !== undefined && { mainProgram }), ...(imageConfig !== undefined && { imageConfig }) }
}

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

/** Parsers of JSON run out of stack if the nesting is deep. */
const MAX_DEPTH = 32

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(inner => isDeeper(inner, levels - 1))
}
