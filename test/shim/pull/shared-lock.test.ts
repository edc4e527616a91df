import { expect, test } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { pullImage } from '../../../shim/pull/pull-image.ts'
import { pullParts, SYSTEM } from './pull-parts.ts'

const OLD = `github:team/app/${'a'.repeat(40)}`
const NEW = `github:team/app/${'b'.repeat(40)}`

/** What the NixBuilds of these namespaces were built from. */
const LOCKS = new Map([
  ['old', OLD],
  ['same', OLD],
  ['new', NEW],
])

/** Pulls for these namespaces at the same time, and returns the content that their shared run builds. */
async function lockOf(...namespaces: string[]): Promise<string | undefined> {
  const locks: (string | undefined)[] = []
  const parts = pullParts({
    async build(_recipe, { findLock }) {
      locks.push((await findLock?.())?.url)
      return { storePath: '/nix/store/a', runId: 'run-1' }
    },
    importImage: async () => ({ imageId: 'sha256:made', manifestDigest: 'sha256:manifest', sentBytes: 0 }),
    findLock: async ({ namespace }) => {
      const url = LOCKS.get(namespace)
      return url === undefined ? undefined : parseFlakeUrl(url)
    },
  })
  const flake = parseFlakeUrl('github:team/app')
  const recipe = { image: 'registry.example/app:1', flake, packageName: 'app', system: SYSTEM }
  const pull = (namespace: string) => {
    const pod = { namespace, name: 'web', uid: `uid-of-${namespace}` }
    return pullImage(parts, { recipe, namespace, pod }, { signal: new AbortController().signal })
  }
  await Promise.all(namespaces.map(pull))
  expect(locks).toHaveLength(1)
  return locks[0]
}

test.each([
  ['builds the content that the NixBuild of its namespace was built from', ['old'], OLD],
  ['builds that content for several namespaces that agree', ['old', 'same'], OLD],
  ['builds the current content if two namespaces have different contents', ['old', 'new'], undefined],
  ['builds the current content if one of its namespaces has none', ['old', 'without'], undefined],
])('a run of an unlocked flake %s', async (_, namespaces, expected) => {
  expect(await lockOf(...namespaces)).toBe(expected)
})
