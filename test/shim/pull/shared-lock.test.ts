import { pino } from 'pino'
import { expect, test } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { createNames } from '../../../recipes/names/names.ts'
import { createPolicy } from '../../../recipes/policy/policy.ts'
import type { BuildCall } from '../../../shim/nix/contract.ts'
import type { LockQuery, PullOutcome } from '../../../shim/pull/contract.ts'
import { pullImage } from '../../../shim/pull/pull-image.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import { createSharedRuns } from '../../../shim/pull/runs/shared-runs.ts'

const SYSTEM = 'x86_64-linux'
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
  const notUsed = () => Promise.reject(new Error('not used here'))
  const images = { find: async () => undefined, withLabel: notUsed, present: async () => undefined, usable: notUsed }
  const builder = {
    async build(_recipe: unknown, { lock }: BuildCall) {
      locks.push(lock?.url)
      return { storePath: '/nix/store/a', runId: 'run-1' }
    },
    findResult: async () => undefined,
    ...{ withArchive: notUsed, keepOnly: notUsed, pathInfo: notUsed },
  }
  const importer = {
    importImage: async () => ({ imageId: 'sha256:made', manifestDigest: 'sha256:manifest', sentBytes: 0 }),
  }
  const rule = { namespaces: ['*'], images: ['**'], flakes: ['**'], requireLocked: false }
  const parts = {
    policy: createPolicy([{ ...rule, replaceForeign: false, plainPackages: false, maxImageSize: 1 }]),
    names: createNames({ rules: [], flakeNames: false, system: SYSTEM }),
    system: SYSTEM,
    findClusterRecipe: undefined,
    findLock: async ({ namespace }: LockQuery) => {
      const url = LOCKS.get(namespace)
      return url === undefined ? undefined : parseFlakeUrl(url)
    },
    warnPod: undefined,
    images: async () => images,
    stages: async () => ({ images, builder, importer }),
    runs: createSharedRuns<PullOutcome>({ abandonAfterMs: 1000, rememberFailuresMs: 1000, maxPerNamespace: 10 }),
    holdMs: undefined,
    progressOf: () => undefined,
    reporter: createPullLog(),
    logger: pino({ level: 'silent' }),
  }
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
