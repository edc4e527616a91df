import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { pause } from '../../lib/async/retry.ts'
import { RetryableError, ShimError, toShimError } from '../../lib/errors.ts'
import { describeDuration } from '../../lib/text/units.ts'
import { chooseView, type PullIo } from '../commands/choose-view.ts'
import type { PullView } from '../commands/pull-view.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { readProgress } from '../wire/read-progress.ts'
import { followBuild } from './follow-build.ts'
import { createTailReader } from './tail.ts'
import { findBuilds, parseTarget } from './target.ts'

export interface WaitArguments extends UserKubeArguments {
  readonly target: string
  readonly timeoutMs: number
}

/**
 * Shows the progress of NixBuilds until all have ended. Throws PullFailed if one has failed, errors of the API server, or
 * Cancelled.
 */
export async function waitForBuilds(args: WaitArguments, io: PullIo): Promise<void> {
  const target = parseTarget(args.target)
  const late = AbortSignal.timeout(args.timeoutMs)
  const signal = AbortSignal.any([io.signal, late])
  try {
    await withUserKube(args, async user => {
      for (const build of await findSoon(() => findBuilds(target, user, signal), 'pod' in target, signal))
        await showUntilEnd(build, user, { ...io, signal })
    })
  } catch (error) {
    if (late.aborted && !io.signal.aborted) throw tooLate(args)
    throw error
  }
}

const ASK_AGAIN_MS = 1000

/** The NixBuild of a new pod comes a moment after it. */
async function findSoon<Found>(find: () => Promise<Found>, mayCome: boolean, signal: AbortSignal): Promise<Found> {
  for (;;) {
    try {
      return await find()
    } catch (error) {
      if (!mayCome || signal.aborted || !(error instanceof ShimError && error.code === 'PullFailed')) throw error
    }
    await pause(ASK_AGAIN_MS, signal)
  }
}

async function showUntilEnd(build: NixBuild, user: UserKube, { json, output, signal }: PullIo): Promise<void> {
  const view = chooseView({ image: build.spec.imageTag, output }, json)
  const { namespace, name } = build.metadata
  const newLines = createTailReader()
  try {
    for await (const now of followBuild({ namespace, name }, user, signal)) {
      for (const text of newLines(now.status)) view.progress({ phase: 'log', done: 0, expected: 0, text })
      if (now.status.status === 'Succeeded') return view.done(now.status.imageDigest ?? '')
      if (now.status.status === 'Failed') throw new RetryableError('PullFailed', failureOf(now))
      showProgress(now, view)
    }
  } catch (error) {
    view.failed(toShimError(error))
    throw error
  } finally {
    view.close()
  }
}

function showProgress({ status: { status, progress, buildNode, conditions } }: NixBuild, view: PullView): void {
  const waiting = conditions.find(({ type }) => type === 'Complete')?.message ?? 'waiting for the controller'
  const isAtWork = status === 'Building' || status === 'Importing'
  if (progress === undefined || (!isAtWork && progress === 'starting')) view.progress(readProgress(waiting))
  else if (isAtWork && progress === 'starting') view.progress(readProgress(`starting on ${buildNode ?? 'a node'}`))
  else view.progress(readProgress(progress))
}

function failureOf({ status: { conditions } }: NixBuild): string {
  return conditions.find(({ type }) => type === 'Success')?.message ?? 'the build failed'
}

function tooLate({ target, timeoutMs }: WaitArguments): RetryableError {
  const message = `${target} has not ended after ${describeDuration(timeoutMs)} (--timeout); the nodes continue`
  return new RetryableError('PullFailed', message)
}
