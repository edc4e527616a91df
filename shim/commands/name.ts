import { formatRecipe } from '../build/recipe.ts'
import { hostSystem } from '../build/system.ts'
import { readConfig } from '../config.ts'
import { FinalError } from '../errors.ts'
import { quote } from '../quote.ts'
import { FLAKE_NAME_HOSTS, formatFlakeName } from '../recipes/flake-name.ts'
import { createNames } from '../recipes/names.ts'

/** The image name of `FLAKE#PACKAGE`, or the other way round; with the rules of a config, of any image. Throws RecipeInvalid or ConfigInvalid. */
export async function name(text: string, configFile: string | undefined): Promise<string> {
  const isFlakeName = FLAKE_NAME_HOSTS.some(host => text.startsWith(`${host}/`))
  if (!isFlakeName && (configFile === undefined || isFlakeUrl(text))) return formatFlakeName(text)
  const rules = configFile === undefined ? [] : (await readConfig(configFile)).names
  const found = createNames({ rules, flakeNames: true, system: hostSystem() }).recipeOf(text)
  if (found === undefined) throw new FinalError('RecipeInvalid', `no name rule is for the image ${quote(text)}`)
  return formatRecipe(found, { whole: true })
}

/** No image reference has these. */
function isFlakeUrl(text: string): boolean {
  return /[#?]|:\/\/|^[a-z]+:[^0-9/][^/]*\//.test(text)
}
