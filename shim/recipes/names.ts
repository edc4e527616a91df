import type { PackageRecipe } from '../build/recipe.ts'
import { parseDigestPin } from '../digest-pin.ts'
import { FinalError } from '../errors.ts'
import { quote } from '../quote.ts'
import { normaliseReference, splitReference } from '../reference.ts'
import { FLAKE_NAME_HOSTS, parseFlakeName } from './flake-name.ts'
import { createNameRules, type NameRule } from './name-rules.ts'

export interface NamesOptions {
  /** Without mistakes. */
  readonly rules: readonly NameRule[]
  /** Whether `flake-github:0/owner/repo` and its like are recipes. */
  readonly flakeNames: boolean
  /** Nix system of this node. */
  readonly system: string
}

/** Image names that are recipes of flakes by themselves. */
export interface Names {
  /** A cheap look at a raw protobuf message: whether such a name can be in it. */
  mentioned(message: Buffer): boolean
  /** Undefined of any other image. Throws RecipeInvalid. */
  recipeOf(image: string): PackageRecipe | undefined
}

/** From so many hosts on it is quicker to read the message. */
const MAX_HOSTS = 32
/** References need not spell it out. */
const DEFAULT_HOST = 'docker.io'

export function createNames({ rules, flakeNames, system }: NamesOptions): Names {
  const match = createNameRules(rules)
  const ruled = rules.map(({ images }) => images.slice(0, images.indexOf('/')))
  const hosts = [...new Set([...ruled, ...(flakeNames ? FLAKE_NAME_HOSTS : [])])]
  const mayBeAnywhere = hosts.length > MAX_HOSTS || hosts.includes(DEFAULT_HOST)
  const prefixes = hosts.map(host => Buffer.from(`${host}/`))
  return {
    mentioned: message => mayBeAnywhere || prefixes.some(prefix => message.includes(prefix)),
    recipeOf(image) {
      // CRI takes it for an image id.
      const name = parseDigestPin(image) ? undefined : splitReference(image)
      if (name === undefined) return undefined
      try {
        const found = (flakeNames ? parseFlakeName(name) : undefined) ?? match(name)
        return found && { image: normaliseReference(image), ...found, system }
      } catch (cause) {
        if (!(cause instanceof FinalError)) throw cause
        throw new FinalError(
          'RecipeInvalid',
          `the image ${quote(image)} is invalid as a name of a flake: ${cause.message}`,
          { cause },
        )
      }
    },
  }
}
