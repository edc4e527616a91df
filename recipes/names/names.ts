import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { parseDigestPin } from '../digest-pin.ts'
import type { FlakeRecipe } from '../recipe.ts'
import { domainOf, normalizeReference, splitReference } from '../reference.ts'
import { FLAKE_NAME_HOSTS, parseFlakeName } from './flake-name.ts'
import type { NameRule } from './name-rule.ts'
import { createNameRules } from './name-rules.ts'

export interface NamesOptions {
  /** Must be valid: see `findMistakes`. */
  readonly rules: readonly NameRule[]
  /** Whether names such as `flake-github:0/owner/repo` are recipes. */
  readonly flakeNames: boolean
  /** Nix system of this node. */
  readonly system: string
}

/** Image names that are flake recipes by themselves. */
export interface Names {
  /** Cheap test of a raw protobuf message: false if it contains no such name. */
  mentioned(message: Buffer): boolean
  /**
   * Undefined for other images. Throws RecipeInvalid, also for an invalid reference that begins with a host of these
   * names.
   */
  recipeOf(image: string): FlakeRecipe | undefined
}

/** With more hosts, parsing the message is faster than searching it. */
const MAX_HOSTS = 32
/** CRI also accepts an image id. */
const IMAGE_ID = /^[0-9a-f]{64}$/
/** References may omit it. */
const DEFAULT_HOST = 'docker.io'

export function createNames({ rules, flakeNames, system }: NamesOptions): Names {
  const match = createNameRules(rules, system)
  const ruleHosts = rules.map(({ images }) => images.slice(0, images.indexOf('/')))
  const hosts = new Set([...ruleHosts, ...(flakeNames ? FLAKE_NAME_HOSTS : [])])
  const mayBeAnywhere = hosts.size > MAX_HOSTS || hosts.has(DEFAULT_HOST)
  const prefixes = [...hosts].map(host => `${host.toLowerCase()}/`)
  return {
    mentioned(message) {
      if (mayBeAnywhere) return true
      const text = message.toString('latin1').toLowerCase()
      return prefixes.some(prefix => text.includes(prefix))
    },
    recipeOf(image) {
      // CRI reads this as an image id.
      if (image === '' || parseDigestPin(image) || IMAGE_ID.test(image)) return undefined
      const name = splitReference(image)
      if (name === undefined) {
        // containerd accepts some references that are invalid here, and would ask a registry for them.
        if (hosts.has(domainOf(image).toLowerCase())) normalizeReference(image)
        return undefined
      }
      // Name rules are case-sensitive, but registry hosts are not.
      if (!hosts.has(name.domain) && hosts.has(name.domain.toLowerCase()))
        throw new FinalError(
          'RecipeInvalid',
          `the image ${quote(image)} is invalid: write its host in lower case, as in the rule for its name`,
        )
      try {
        const named = flakeNames ? parseFlakeName(name) : undefined
        if (named) return { image: normalizeReference(image), ...named, system }
        const found = match(name)
        return found && { image: normalizeReference(image), ...found }
      } catch (cause) {
        if (!(cause instanceof FinalError)) throw cause
        const message = `the image ${quote(image)} is invalid as a name of a flake: ${cause.message}`
        throw new FinalError('RecipeInvalid', message, { cause })
      }
    },
  }
}
