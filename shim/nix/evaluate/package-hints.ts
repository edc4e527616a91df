import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import type { PackageHints } from '../../../recipes/built-package.ts'
import { describeRecipe, type FlakeRecipe } from '../../../recipes/recipe.ts'

/** What is asked of a package: anything may have been put there. */
export const packageSchema = v.object({ mainProgram: v.nullable(v.string()), imageConfig: v.unknown() })

/** Longest name that a program can have, in bytes. */
const MAX_NAME_BYTES = 255

/**
 * In the Nix language, of the package by that name in scope. `meta` is everybody's: a package works without it, and with one
 * that throws. `imageConfig` is there for us alone, so that nix may tell what is wrong with it.
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

/** Undefined when the package says nothing. Throws EvaluationFailed when its imageConfig is none. */
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
  if (Array.isArray(value) || !v.is(v.record(v.string(), v.unknown()), value)) throw refuse('no attribute set')
  if (isDeeper(value, MAX_DEPTH)) throw refuse(`nested more than ${MAX_DEPTH} levels deep`)
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_IMAGE_CONFIG_BYTES)
    throw refuse(`longer than ${MAX_IMAGE_CONFIG_BYTES} bytes as JSON`)
  return value
}

/** Deep nesting is what makes readers of JSON run out of stack. */
const MAX_DEPTH = 32

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(inner => isDeeper(inner, levels - 1))
}
