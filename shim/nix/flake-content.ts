import * as v from 'valibot'
import { FinalError, RetryableError } from '../../lib/errors.ts'
import type { FlakeContent } from '../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'

const answerSchema = v.object({ hash: v.string() })

/** Arguments of nix that make it fetch the URL, whatever its store has, and tell the hash of what came. */
export function prefetchArgs({ url }: FlakeContent): string[] {
  // No registry is needed; nix would download one nevertheless.
  return ['flake', 'prefetch', '--json', url, '--option', 'flake-registry', '/nonexistent/registry.json']
}

/**
 * Throws FlakeNotFound when something else was found. What is evaluated later is what has that hash, be it fetched again or
 * found in the store.
 */
export function checkContent({ flake }: FlakeRecipe, { narHash, url }: FlakeContent, stdout: string): void {
  const hash = readHash(url, stdout)
  if (hash === narHash) return
  throw new FinalError(
    'FlakeNotFound',
    `what is at ${url} has the narHash ${hash}, and ${flake.url} is locked to another: correct the narHash, or the URL`,
  )
}

function readHash(url: string, stdout: string): string {
  try {
    return v.parse(answerSchema, JSON.parse(stdout)).hash
  } catch (cause) {
    throw new RetryableError('BuildInterrupted', `nix gave no answer that makes sense about ${url}`, { cause })
  }
}
