import { pino } from 'pino'
import { expect, test } from 'vitest'
import { RetryableError } from '../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { createNames } from '../../../recipes/names/names.ts'
import { createPolicy } from '../../../recipes/policy/policy.ts'
import type { PullOutcome } from '../../../shim/pull/contract.ts'
import { pullImage } from '../../../shim/pull/pull-image.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import { createSharedRuns } from '../../../shim/pull/runs/shared-runs.ts'

const SYSTEM = 'x86_64-linux'
const IMAGE = 'registry.example/app:1'
const rule = { images: ['**'], flakes: ['**'], requireLocked: false, plainPackages: false, maxImageSize: 1 }

/** Somebody else's image gets the name while the build runs. */
function setUp() {
  const imported = Promise.withResolvers<void>()
  const notUsed = () => Promise.reject(new Error('not used here'))
  const images = { find: async () => undefined, withLabel: notUsed, present: async () => undefined, usable: notUsed }
  const builder = {
    build: notUsed,
    findResult: async () => undefined,
    withArchive: notUsed,
    keepOnly: notUsed,
    pathInfo: notUsed,
  }
  const built = { storePath: '/nix/store/a', runId: 'run-1' }
  const stages = {
    images,
    builder: { ...builder, build: async () => built },
    importer: {
      async importImage({ replaceForeign }: { replaceForeign: boolean }) {
        await imported.promise
        if (!replaceForeign) throw new RetryableError('ImageNotOurs', 'it is not ours')
        return { imageId: 'sha256:made', manifestDigest: 'sha256:manifest', sentBytes: 0 }
      },
    },
  }
  const parts = {
    policy: createPolicy([
      { ...rule, namespaces: ['strict'], replaceForeign: false },
      { ...rule, namespaces: ['generous'], replaceForeign: true },
    ]),
    names: createNames({ rules: [], flakeNames: false, system: SYSTEM }),
    system: SYSTEM,
    findClusterRecipe: undefined,
    findLock: undefined,
    warnPod: undefined,
    images: async () => images,
    stages: async () => stages,
    runs: createSharedRuns<PullOutcome>({ abandonAfterMs: 1000, rememberFailuresMs: 1000, maxPerNamespace: 10 }),
    holdMs: undefined,
    progressOf: () => undefined,
    reporter: createPullLog(),
    logger: pino({ level: 'silent' }),
  }
  const recipe = { image: IMAGE, flake: parseFlakeUrl('github:team/app'), packageName: 'app', system: SYSTEM }
  const pull = (namespace: string) => pullImage(parts, { recipe, namespace }, { signal: new AbortController().signal })
  return { imported, pull }
}

test('a namespace that may replace an image does so even if it joins the run of a namespace that may not', async () => {
  const { imported, pull } = setUp()
  const strict = pull('strict')
  const generous = pull('generous')
  imported.resolve()
  await expect(strict).rejects.toMatchObject({ code: 'ImageNotOurs' })
  await expect(generous).resolves.toBe('sha256:made')
})
