import { FinalError } from '../../lib/errors.ts'
import { isOlder } from '../../lib/text/versions.ts'
import { queryOf } from '../../recipes/flake-query.ts'
import type { FlakeUrl } from '../../recipes/flake-url.ts'

interface Need {
  readonly key: string
  readonly since: string
  /** The others have it earlier. */
  readonly scheme?: string
}

/**
 * Keys of a query that a nix before this version takes for a part of the repository's URL: it heeds none, and says nothing. What
 * else we allow is known since 2.8. (By nix's own `inputFromURL` of each version.)
 */
const NEEDS: readonly Need[] = [
  { key: 'allRefs', since: '2.15' },
  { key: 'verifyCommit', since: '2.19' },
  { key: 'publicKey', since: '2.19' },
  { key: 'keytype', since: '2.19' },
  { key: 'exportIgnore', since: '2.20' },
  // Before, nix calls ssh for it without NIX_SSHOPTS: by settings and keys that are not root's.
  { key: 'lfs', since: '2.31', scheme: 'git+ssh' },
  { key: 'lfs', since: '2.27' },
]

/** Throws RecipeInvalid when the URL has a key that this version of nix does not know. `version`: empty when nobody knows. */
export function checkNixKnows({ scheme, url }: Pick<FlakeUrl, 'scheme' | 'url'>, version: string): void {
  const query = queryOf(url)
  for (const { key, since, ...need } of NEEDS) {
    if (!query.has(key) || (need.scheme ?? scheme) !== scheme || version === '' || !isOlder(version, since)) continue
    throw new FinalError(
      'RecipeInvalid',
      `"${key}" in the flake URL ${url} needs Nix ${since}, and this node has ${version}: upgrade Nix there, or leave the key out`,
    )
  }
}
