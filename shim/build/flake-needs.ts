import { FinalError } from '../errors.ts'
import { isOlder } from '../versions.ts'
import type { FlakeUrl } from './flake-url.ts'

/** Keys of a query that a nix before this version takes for a part of the repository's URL: it heeds none, and says nothing. */
const SINCE: ReadonlyMap<string, string> = new Map([
  ['verifyCommit', '2.19'],
  ['publicKey', '2.19'],
  ['keytype', '2.19'],
  ['exportIgnore', '2.20'],
  ['lfs', '2.27'],
])

/** Throws RecipeInvalid when the URL has a key that this version of nix does not know. `version`: empty when nobody knows. */
export function checkNixKnows({ url }: Pick<FlakeUrl, 'url'>, version: string): void {
  const [, query = ''] = url.split('?')
  const keys = query.split('&').map(pair => pair.replace(/=.*$/, ''))
  for (const [key, since] of SINCE) {
    if (!keys.includes(key) || version === '' || !isOlder(version, since)) continue
    throw new FinalError(
      'RecipeInvalid',
      `"${key}" in the flake URL ${url} needs Nix ${since}, and this node has ${version}: upgrade Nix there, or leave the key out`,
    )
  }
}
