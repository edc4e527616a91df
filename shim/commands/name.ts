import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { FLAKE_NAME_HOSTS, formatFlakeName } from '../../recipes/names/flake-name.ts'
import { createNames } from '../../recipes/names/names.ts'
import { formatRecipe } from '../../recipes/recipe.ts'
import { hostSystem } from '../../recipes/system.ts'
import { readConfig } from '../config/config.ts'

/**
 * The image name of `FLAKE#PACKAGE`, or the flake of an image name. The name rules of a config apply if there is one.
 * Throws RecipeInvalid or ConfigInvalid.
 */
export async function name(text: string, configFile: string | undefined): Promise<string> {
  const isFlakeName = FLAKE_NAME_HOSTS.some(host => text.startsWith(`${host}/`))
  if (!isFlakeName && (configFile === undefined || isFlakeUrl(text))) return formatFlakeName(text)
  return describeImage(text, configFile)
}

/** Image references have none of these. */
function isFlakeUrl(text: string): boolean {
  return /[#?]|:\/\/|^[a-z]+:[^0-9/][^/]*\//.test(text)
}

async function describeImage(image: string, configFile: string | undefined): Promise<string> {
  const rules = configFile === undefined ? [] : (await readConfig(configFile)).names
  const found = createNames({ rules, flakeNames: true, system: hostSystem() }).recipeOf(image)
  if (found === undefined) throw new FinalError('RecipeInvalid', `no name rule is for the image ${quote(image)}`)
  return formatRecipe(found, { whole: true })
}
