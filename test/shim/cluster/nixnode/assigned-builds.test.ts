import { pino } from 'pino'
import { expect, it } from 'vitest'
import { NODE_LABEL } from '../../../../kube/resources/names.ts'
import { type NixBuildStatus, nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import { FinalError, RetryableError, type ShimError } from '../../../../lib/errors.ts'
import { runAssignedBuilds } from '../../../../shim/cluster/nixnode/assigned-builds.ts'
import { type ClusterReporter, createClusterReporter } from '../../../../shim/cluster/cluster-reporter.ts'
import { createNixBuildStore } from '../../../../shim/cluster/nixbuild-store.ts'
import type { FlakeImageRequest, PullImage } from '../../../../shim/pull/contract.ts'
import { useKube } from '../../../kube/use-kube.ts'
import { PATIENT } from '../../../patience.ts'
import { IMAGE_ID, NODE, nixBuild } from '../builds/nixbuilds.ts'

const NEVER_MS = 600_000

it('after a temporary failure, an assigned build is Pending with the reason until the next attempt', async () => {
  await using bed = await begin({ outcomes: [away()], pausesMs: [NEVER_MS] })
  await expect.poll(bed.status, PATIENT).toMatchObject({
    status: 'Pending',
    buildNode: bed.node,
    conditions: [
      {
        type: 'Complete',
        status: 'False',
        reason: 'Retrying',
        message: expect.stringMatching(/^attempt 1 of 2 .*away/),
      },
      { type: 'Success', status: 'Unknown', reason: 'Retrying' },
    ],
  })
  expect(bed.attempt()).toBe(1)
})

it('an assigned build is retried until it succeeds', async () => {
  await using bed = await begin({ outcomes: [away(), away(), undefined], pausesMs: [10, 10, 10] })
  await expect.poll(bed.status, PATIENT).toMatchObject({ status: 'Succeeded', nodes: [{ name: bed.node }] })
  expect(bed.attempt()).toBe(3)
})

it('an assigned build that fails every time is given up with the number of attempts', async () => {
  await using bed = await begin({ outcomes: [away(), away(), away()], pausesMs: [10, 10] })
  await expect.poll(bed.status, PATIENT).toMatchObject({
    status: 'Failed',
    conditions: [{ status: 'True' }, { message: expect.stringMatching(/^given up after 3 attempts .*away/) }],
  })
  expect(bed.attempt()).toBe(3)
})

it('an assigned build that fails because of its recipe is not retried', async () => {
  const broken = new FinalError('BuilderFailed', 'no such file')
  await using bed = await begin({ outcomes: [broken, undefined], pausesMs: [10] })
  await expect.poll(bed.status, PATIENT).toMatchObject({ status: 'Failed' })
  expect(bed.attempt()).toBe(1)
})

it('the wait for the next attempt ends when the NixBuild is deleted', async () => {
  await using bed = await begin({ outcomes: [away()], pausesMs: [NEVER_MS] })
  await expect.poll(bed.status, PATIENT).toMatchObject({ status: 'Pending' })
  await bed.kube.delete(nixBuilds, bed.name)
  await expect.poll(() => bed.signals().every(({ aborted }) => aborted), PATIENT).toBe(true)
})

function away() {
  return new RetryableError('NixDaemonAway', 'the nix daemon is away')
}

interface Plan {
  /** One for each attempt; undefined for an existing image. */
  readonly outcomes: readonly (ShimError | undefined)[]
  readonly pausesMs: readonly number[]
}

async function begin({ outcomes, pausesMs }: Plan) {
  const { kube, name, ...bed } = await useKube()
  // The shared cluster also contains NixBuilds of other tests.
  const node = `${NODE}-${name.namespace}`
  const stop = new AbortController()
  const signals: AbortSignal[] = []
  const logger = pino({ level: 'silent' })
  const store = createNixBuildStore({ kube: async () => kube, node })
  const reporter = createClusterReporter({
    ...{ store, node, logger, imagesChanged: () => {}, onImage: () => {}, recordEvent: () => {} },
    imageSize: async () => undefined,
  })
  const pullImage: PullImage<FlakeImageRequest> = async (request, signal) => {
    signals.push(signal)
    return written(reporter, request, outcomes[signals.length - 1])
  }
  const { signal } = stop
  const mirror = runAssignedBuilds({
    kube,
    store,
    node,
    pullImage,
    written: reporter.written,
    pausesMs,
    signal,
    logger,
  })
  const body = { metadata: { labels: { [NODE_LABEL]: node } }, spec: nixBuild().spec }
  await kube.create(nixBuilds, { ...name, body })
  return {
    ...{ kube, name, node },
    attempt: () => signals.length,
    signals: () => signals,
    status: async (): Promise<NixBuildStatus | undefined> => (await kube.get(nixBuilds, name))?.status,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await mirror.ended
      await reporter.close(0)
      await bed[Symbol.asyncDispose]()
    },
  }
}

/** Waits until the outcome of a run is written. */
async function written(
  reporter: ClusterReporter,
  request: FlakeImageRequest,
  error: ShimError | undefined,
): Promise<string> {
  const report = reporter.waiting(request)
  const run = reporter.started(request.recipe)
  if (error) {
    run.failed(error)
    report.failed(error)
    throw error
  }
  run.done({ imageId: IMAGE_ID, present: false })
  report.done()
  return IMAGE_ID
}
