import { isFinished, type NixBuild } from '../../kube/resources/nixbuild.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { pause, retry } from '../../lib/async/retry.ts'
import { RetryableError, toShimError } from '../../lib/errors.ts'
import { isRedrawable } from '../../lib/text/terminal.ts'
import { cleanText } from '../../lib/text/text.ts'
import { describeDuration } from '../../lib/text/units.ts'
import { chooseView, type PullIo } from '../commands/choose-view.ts'
import type { PullView } from '../commands/pull-view.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { readProgress } from '../wire/read-progress.ts'
import { followBuild } from './follow-build.ts'
import { createOutage } from './outage.ts'
import type { PodBuilds } from './pod/pod-builds.ts'
import { createTailReader } from './tail.ts'
import { type BuildFinder, createBuildFinder, noteDoubt, parseTarget, type Target } from './target.ts'

export interface WaitArguments extends UserKubeArguments {
  readonly target: string
  readonly timeoutMs: number
}

export interface WaitIo extends PullIo {
  /** For what is not the progress of a build. */
  readonly notes: { write(text: string): unknown }
}

/**
 * Shows the progress of NixBuilds until all have ended. Throws PullFailed if one has failed, errors of the API server, or
 * Cancelled.
 */
export async function waitForBuilds(args: WaitArguments, io: WaitIo): Promise<void> {
  const target = parseTarget(args.target)
  const late = AbortSignal.timeout(args.timeoutMs)
  const signal = AbortSignal.any([io.signal, late])
  try {
    await withUserKube(args, user => waitForAll(target, user, { ...io, signal }))
  } catch (error) {
    if (late.aborted && !io.signal.aborted) throw tooLate(args)
    throw error
  }
}

const ASK_AGAIN_MS = 1000

/** The NixBuilds of a new pod come a moment after it, and not all at the same time: it looks again after each end. */
export async function waitForAll(target: Target, user: UserKube, io: WaitIo): Promise<void> {
  const { signal } = io
  const finder = createBuildFinder(target, user)
  const ended = new Set<string>()
  let isDoubtNoted = false
  // An API server that does not answer the first time may be a wrong address.
  for (let found = await finder.findOrNone(signal); !signal.aborted; found = await findAgain(finder, io)) {
    const { builds, doubt } = found
    if (doubt?.isEarly === false && !isDoubtNoted) {
      noteDoubt(doubt, io.notes)
      isDoubtNoted = true
    }
    const next = doubt?.isEarly ? undefined : builds.find(({ metadata: { uid } }) => !ended.has(uid))
    if (next !== undefined) {
      await showUntilEnd(next, user, io)
      if ('build' in target) return
      ended.add(next.metadata.uid)
    } else if (ended.size > 0 && !doubt?.isEarly) return
    else await pause(ASK_AGAIN_MS, signal)
  }
  throw callerLeft(signal)
}

/** Waits for an API server that is away. */
export async function findAgain(
  { findOrNone }: Pick<BuildFinder, 'findOrNone'>,
  { notes, signal }: Pick<WaitIo, 'notes' | 'signal'>,
): Promise<PodBuilds> {
  const outage = createOutage({ onAway: note => notes.write(`${note}\n`), signal })
  const plan = { isTemporary: () => true, beforeNext: (_: number, error: unknown) => outage.endure(error) }
  return retry(() => findOrNone(signal), plan)
}

async function showUntilEnd(build: NixBuild, user: UserKube, { json, output, notes, signal }: WaitIo): Promise<void> {
  const view = chooseView({ image: oneLine(build.spec.imageTag), output }, json)
  const { namespace, name } = build.metadata
  const newLines = createTailReader()
  const onAway = (note: string) => {
    // A note of its own would disturb what is redrawn.
    if (!json && isRedrawable(output)) view.progress(readProgress(note))
    else notes.write(`${note}\n`)
  }
  try {
    for await (const now of followBuild({ namespace, name }, user, { onAway, signal })) {
      for (const text of newLines(now.status)) view.progress({ phase: 'log', done: 0, expected: 0, text })
      if (now.status.status === 'Succeeded') return view.done(oneLine(now.status.imageDigest ?? ''))
      if (isFinished(now.status.status)) throw new RetryableError('PullFailed', failureOf(now))
      showProgress(now, view)
    }
  } catch (error) {
    view.failed(toShimError(error))
    throw error
  } finally {
    view.close()
  }
}

/** Nodes write the status. */
function oneLine(text: string): string {
  return cleanText(text).replaceAll('\n', ' ')
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
