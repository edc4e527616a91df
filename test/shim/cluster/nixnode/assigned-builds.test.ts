import { pino } from 'pino'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { AssignedBuild } from '../../../../kube/resources/nixnode.ts'
import { FinalError, RetryableError, type ShimError } from '../../../../lib/errors.ts'
import { createAssignedBuilds } from '../../../../shim/cluster/nixnode/assigned-builds.ts'
import type { ImageRequest } from '../../../../shim/pull/contract.ts'
import { PATIENT } from '../../../patience.ts'

const NEVER_MS = 600_000
const web = assigned('web')

it('an assigned build is retried until it succeeds', async () => {
  const bed = begin({ outcomes: [away(), away(), undefined], pausesMs: [10, 10, 10] })
  bed.builds.update([web])
  await expect.poll(bed.attempts, PATIENT).toEqual([1, 2, 3])
  expect(bed.requests[0]).toMatchObject({ namespace: 'team', nixBuild: 'web', attempt: { max: 4 } })
})

it('an assigned build that fails because of its recipe is not retried', async () => {
  const bed = begin({ outcomes: [new FinalError('BuilderFailed', 'no such file')], pausesMs: [10] })
  bed.builds.update([web])
  bed.builds.update([web, assigned('later')])
  await expect.poll(() => bed.requests.map(({ nixBuild }) => nixBuild), PATIENT).toEqual(['web', 'later'])
})

it('an assigned build that has ended starts again after a time if it stays assigned', async () => {
  const bed = begin({ outcomes: [new FinalError('BuilderFailed', 'no such file')], pausesMs: [], againMs: 10 })
  bed.builds.update([web])
  await expect.poll(() => bed.attempts().length, PATIENT).toBeGreaterThan(2)
  expect(bed.withdrawn).not.toHaveBeenCalled()
  bed.builds.update([])
})

it('an assigned build is not built again immediately while it stays assigned, and again when it is assigned again', async () => {
  const bed = begin({ outcomes: [], pausesMs: [] })
  bed.builds.update([web])
  await expect.poll(bed.attempts, PATIENT).toHaveLength(1)
  bed.builds.update([web])
  bed.builds.update([])
  bed.builds.update([web])
  await expect.poll(bed.attempts, PATIENT).toHaveLength(2)
})

it('an assigned build ends when it is not assigned any more', () => {
  const bed = begin({ outcomes: ['never'], pausesMs: [] })
  bed.builds.update([web])
  bed.builds.update([])
  expect(bed.signals[0]?.reason).toMatchObject({ code: 'Cancelled', message: expect.stringContaining('assigned') })
})

it('the wait for the next attempt ends when the build is not assigned any more', async () => {
  const bed = begin({ outcomes: [away()], pausesMs: [NEVER_MS] })
  bed.builds.update([web])
  await expect.poll(bed.attempts, PATIENT).toEqual([1])
  await new Promise(setImmediate)
  bed.builds.update([])
  await vi.waitFor(() => expect(bed.withdrawn).toHaveBeenCalledOnce(), PATIENT)
  expect(bed.attempts()).toEqual([1])
})

it('an invalid recipe is reported and skipped, and does not stop the others', async () => {
  const bed = begin({ outcomes: [], pausesMs: [] })
  const bad = { ...assigned('bad'), recipe: { ...web.recipe, flakeUrl: 'path:relative' } }
  bed.builds.update([bad, web])
  expect(bed.unreadable).toHaveBeenCalledExactlyOnceWith(bad, expect.objectContaining({ code: 'RecipeInvalid' }))
  await expect.poll(() => bed.requests.map(({ nixBuild }) => nixBuild), PATIENT).toEqual(['web'])
})

function assigned(name: string): AssignedBuild {
  const imageTag = `registry.example/team/${name}:1`
  const recipe = { flakeUrl: 'github:team/app', imageTag, packageName: 'image', system: 'x86_64-linux' }
  return { namespace: 'team', name, recipe }
}

function away() {
  return new RetryableError('NixDaemonAway', 'the nix daemon is away')
}

interface Plan {
  /** One for each attempt; undefined for an image. */
  readonly outcomes: readonly (ShimError | 'never' | undefined)[]
  readonly pausesMs: readonly number[]
  readonly againMs?: number
}

function begin({ outcomes, pausesMs, againMs = NEVER_MS }: Plan) {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const requests: ImageRequest[] = []
  const signals: AbortSignal[] = []
  const withdrawn = vi.fn()
  const unreadable = vi.fn()
  const builds = createAssignedBuilds({
    async pullImage(request, signal) {
      const outcome = outcomes[requests.length]
      requests.push(request)
      signals.push(signal)
      if (outcome === 'never') return Promise.withResolvers<never>().promise
      if (outcome) throw outcome
      return 'sha256:0'
    },
    ...{ withdrawn, unreadable, pausesMs, againMs, signal: stop.signal, logger: pino({ level: 'silent' }) },
  })
  return {
    builds,
    requests,
    signals,
    withdrawn,
    unreadable,
    attempts: () => requests.map(({ attempt }) => attempt?.number),
  }
}
