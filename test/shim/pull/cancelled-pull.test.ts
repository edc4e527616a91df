import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { callerLeft } from '../../../lib/async/bounded-wait.ts'
import { STATUS } from '../../../lib/grpc/status.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import type { BuildCall } from '../../../shim/nix/contract.ts'
import type { PullOutcome } from '../../../shim/pull/contract.ts'
import { createOtherRecipes } from '../../../shim/pull/other-recipes.ts'
import { interceptPullImage } from '../../../shim/pull/pull-image.ts'
import { createSharedRuns } from '../../../shim/pull/runs/shared-runs.ts'
import { IMAGE_SERVICE } from '../../../shim/wire/cri.ts'
import { PULL_IMAGE_PATH } from '../../../shim/wire/paths.ts'
import { recipeAnnotations } from '../../node/recipe-pull.ts'
import { pullParts } from './pull-parts.ts'

const ABANDON_MS = 1000
const PROMISE_MS = 600_000
const OPTIONS = { abandonAfterMs: ABANDON_MS, promiseMs: PROMISE_MS, rememberFailuresMs: 1000, maxPerNamespace: 10 }

const pod = { namespace: 'team', name: 'web', uid: 'uid-1' }
const annotations = recipeAnnotations({
  image: 'registry.example/sidecar:1',
  flakeUrl: 'github:team/sidecar',
  packageName: 'sidecar',
})

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A node where the pull of an image without a recipe is forwarded, and the build of the other image of its pod never ends. */
function setUp() {
  const builds: AbortSignal[] = []
  const build = (_recipe: unknown, { signal }: BuildCall) =>
    new Promise<never>((_, reject) => {
      builds.push(signal)
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  const interceptor = interceptPullImage(pullParts({ build, runs: createSharedRuns<PullOutcome>(OPTIONS) }))
  const request = IMAGE_SERVICE.PullImage.requestSerialize({
    image: { image: 'registry.example/app:1' },
    sandboxConfig: { metadata: pod, annotations },
  })
  const { signal } = new AbortController()
  return { builds, pull: () => interceptor({ path: PULL_IMAGE_PATH, request, headers: {}, signal }) }
}

describe('a forwarded pull of a pod', () => {
  it.each([
    ['that is cancelled withdraws the other images of the pod', STATUS.CANCELLED, true],
    ['that fails leaves the builds of the other images to the pulls that follow', STATUS.NOT_FOUND, false],
  ])('%s', async (_, status, expected) => {
    const { builds, pull } = setUp()
    const outcome = await pull()
    await vi.advanceTimersByTimeAsync(0)
    expect(builds).toHaveLength(1)
    if (outcome.kind === 'forward') outcome.afterwards?.(status)
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(builds[0]?.aborted).toBe(expected)
  })
})

describe('a pull of a pod that is cancelled after another image of the pod has been made', () => {
  it('does not keep the result for longer than after any other pull', async () => {
    const runs = createSharedRuns<string>(OPTIONS)
    const start = vi.fn(async () => 'sha256:made')
    const pull: Parameters<typeof createOtherRecipes>[0]['pull'] = async ({ recipe }, limits) => {
      using request = runs.request(recipeKey(recipe), pod.namespace)
      return await request.join({ start, terms: '', ...limits })
    }
    const others = createOtherRecipes({ ...pullParts(), pull })
    const call = { image: 'registry.example/app:1', namespace: pod.namespace, pod, annotations }
    const ended = others.request(call, undefined)
    await vi.advanceTimersByTimeAsync(0)
    expect(start).toHaveBeenCalledTimes(1)
    ended(callerLeft(AbortSignal.abort()))
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(PROMISE_MS)
    expect(vi.getTimerCount()).toBe(0)
  })
})
