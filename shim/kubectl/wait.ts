import { isFinished, type NixBuild } from '../../kube/resources/nixbuild.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { backOff, retry } from '../../lib/async/retry.ts'
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
import { nameBuilds, type PodBuilds } from './pod/pod-builds.ts'
import { createTailReader } from './tail.ts'
import { type BuildFinder, createBuildFinder, describeDoubt, parseTarget, type Target } from './target.ts'

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

/**
 * The NixBuilds of a new pod come a moment after it, and not all at the same time: it looks again after each end, and more rarely while there
 * is nothing to follow.
 */
export async function waitForAll(target: Target, user: UserKube, io: WaitIo): Promise<void> {
  const { signal } = io
  const finder = createBuildFinder(target, user)
  const noteOnce = createNotes(io.notes)
  const ended = new Set<string>()
  let looks = 0
  // An API server that does not answer the first time may be a wrong address.
  for (let found = await finder.findOrNone(signal); !signal.aborted; found = await findAgain(finder, io)) {
    noteOnce(whyNothing(found))
    const next = isToFollow(found) ? found.builds.find(({ metadata: { uid } }) => !ended.has(uid)) : undefined
    if (next !== undefined) {
      await showUntilEnd(next, user, io)
      if ('build' in target) return
      ended.add(next.metadata.uid)
      looks = 0
    } else if (ended.size > 0 && isToFollow(found)) return
    else {
      looks += 1
      await backOff(looks + LOOKS_SKIPPED, signal)
    }
  }
  throw callerLeft(signal)
}

/** The first pause is of half a second at most. */
const LOOKS_SKIPPED = 2

/**
 * In doubt, the end of one build may settle which ones are the pod's, and that of another one means nothing: only when all have ended, they
 * count.
 */
function isToFollow({ builds, doubt }: PodBuilds): boolean {
  return doubt === undefined || (!doubt.isEarly && builds.every(({ status }) => isFinished(status.status)))
}

/** Why no build is followed, for people. */
function whyNothing({ builds, others, doubt }: PodBuilds): string | undefined {
  if (doubt?.isEarly) return `waiting: ${doubt.text}`
  if (doubt) return describeDoubt('waiting for all of them', doubt)
  if (builds.length > 0 || others.length === 0) return undefined
  return `only ${nameBuilds(others)}: waiting for a NixBuild for the system of the pod's node`
}

/** Writes each note once. */
function createNotes(notes: WaitIo['notes']): (note: string | undefined) => void {
  const written = new Set<string>()
  return note => {
    if (note === undefined || written.has(note)) return
    written.add(note)
    notes.write(`${cleanText(note)}\n`)
  }
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
