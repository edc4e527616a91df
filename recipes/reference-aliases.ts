import { normalizeReference } from './reference.ts'

const DEFAULT_HOST = 'docker.io/'
const DEFAULT_FOLDER = 'library/'
const DEFAULT_TAG = ':latest'

/**
 * All ways to write a normalized reference, starting with itself: `docker.io/library/app:latest` is also
 * `docker.io/app:latest`, `library/app:latest`, `app:latest`, and each of these without its tag.
 */
export function referenceAliases(reference: string): string[] {
  const tagged = withoutHost(reference)
  const all = reference.endsWith(DEFAULT_TAG)
    ? [...tagged, ...tagged.map(name => name.slice(0, -DEFAULT_TAG.length))]
    : tagged
  // docker.io/a.b/app cannot be shortened to a.b/app: that is an app on the host a.b.
  return all.filter(name => normalizeReference(name) === reference)
}

function withoutHost(reference: string): string[] {
  if (!reference.startsWith(DEFAULT_HOST)) return [reference]
  const bare = reference.slice(DEFAULT_HOST.length)
  if (!bare.startsWith(DEFAULT_FOLDER)) return [reference, bare]
  const short = bare.slice(DEFAULT_FOLDER.length)
  return [reference, `${DEFAULT_HOST}${short}`, bare, short]
}
