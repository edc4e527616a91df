import { apiTime } from '../../../kube/resources/metadata.ts'
import { specOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { type AssignedBuild, NIXNODE_LIMITS, type NodeBuild } from '../../../kube/resources/nixnode.ts'
import type { ShimError } from '../../../lib/errors.ts'
import { cutLines } from '../../../lib/text/cut.ts'
import { describeDuration, describeMegabytes } from '../../../lib/text/units.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'
import type { Attempt } from '../../pull/contract.ts'
import type { Failure, ReportedRunState, Success } from './reported-run.ts'

/** What a build is about. */
export interface BuildSubject {
  readonly namespace: string
  /** The recipe's key. */
  readonly key: string
  /** Missing for an image of which no run is known since the shim started. */
  readonly recipe?: Recipe | undefined
  readonly nixBuild?: string | undefined
}

export interface Conclusion {
  readonly subject: BuildSubject
  /** With an outcome. */
  readonly run: ReportedRunState
  /** The latest result. */
  readonly before: NodeBuild | undefined
  /** Whether the recipe has been written. */
  readonly isTold: boolean
  /** Set if the build is assigned to this node. */
  readonly attempt: Attempt | undefined
  readonly node: string
}

/** A request that has no run yet. `since` is in milliseconds since 1970. */
export function waitingBuild(subject: BuildSubject, since: number): NodeBuild {
  return { ...withRecipe(subject), state: 'Queued', since: apiTime(since), progress: 'starting', pods: [] }
}

/** Builds that end sooner need no live log. */
export const LOG_AFTER_MS = 30_000

/** A run that has not ended. */
export function runningBuild(subject: BuildSubject, run: ReportedRunState): NodeBuild {
  const { phase, phaseSince, progress, logTail } = run
  return {
    ...withRecipe(subject),
    state: phase,
    since: apiTime(phaseSince),
    ...runFields(run),
    progress,
    ...(logTail !== undefined && { logTail }),
    pods: [],
  }
}

export function withoutLog({ logTail: _, ...build }: NodeBuild): NodeBuild {
  return build
}

/** The result after a run or a request has ended; undefined if nothing is left to report. */
export function concludedBuild(conclusion: Conclusion): NodeBuild | undefined {
  const { run, before } = conclusion
  switch (run.outcome?.kind) {
    case 'Succeeded':
      return presentBuild(conclusion, run.outcome)
    case 'Failed':
      // The image is still there.
      if (before?.state === 'Present' && !run.outcome.final) return before
      return failedBuild(conclusion, run.outcome)
    default:
      return before?.state === 'Present' ? before : undefined
  }
}

function presentBuild({ subject, run, before, isTold }: Conclusion, outcome: Success): NodeBuild {
  const { imageId, imageSize, at } = outcome
  const known = before?.state === 'Present' && before.imageDigest === imageId ? before : undefined
  return {
    ...(isTold ? idOf(subject) : withRecipe(subject)),
    state: 'Present',
    since: apiTime(at),
    ...runFields(run),
    progress: summarizeSuccess(run, outcome),
    // It was built before and has only been checked again.
    ...(known && timesOf(known)),
    imageDigest: imageId,
    imageSize: imageSize ?? known?.imageSize,
    storePath: run.storePath ?? known?.storePath,
    lockedFlakeUrl: run.lockedFlakeUrl ?? known?.lockedFlakeUrl,
    ...logOf(run, outcome, known),
    pods: [],
  }
}

/** A check of an image keeps the log of its build, which may not have been written yet. */
function logOf({ startedAt, logTail }: ReportedRunState, { at, present }: Success, known: NodeBuild | undefined) {
  const log = present ? known?.logTail : at - startedAt >= LOG_AFTER_MS ? logTail : undefined
  return log === undefined ? {} : { logTail: log }
}

function summarizeSuccess({ startedAt }: ReportedRunState, { present, at, imageSize }: Success): string {
  if (present) return 'existed already'
  const size = imageSize === undefined ? '' : `, ${describeMegabytes(imageSize)}`
  return `loaded in ${describeDuration(at - startedAt)}${size}`
}

function failedBuild({ subject, run, before, attempt, node }: Conclusion, outcome: Failure): NodeBuild {
  const { at, logTail, final } = outcome
  const isRetried = attempt !== undefined && !final && attempt.number < attempt.max
  const message = cutLines(describeFailure(outcome, attempt, node), NIXNODE_LIMITS.message - MARK_LENGTH)
  const build: NodeBuild = {
    ...withRecipe(subject),
    state: isRetried ? 'Queued' : 'Failed',
    since: apiTime(at),
    ...runFields(run),
    progress: isRetried ? 'waiting for another attempt' : 'failed',
    message,
    retryable: !final,
    ...(logTail !== '' && { logTail: cutLines(logTail, NIXNODE_LIMITS.logTail - MARK_LENGTH) }),
    ...(attempt && { attempts: attempt.number }),
    pods: [],
  }
  // The controller waits for the result of each assignment.
  const isSame = attempt === undefined && before?.state === build.state && before.message === message
  if (!isSame) return build
  // The same failure again is not news: the times and the log of the first one stay.
  const same = { ...build, ...timesOf(before), ...(before.logTail && { logTail: before.logTail }) }
  return at - Date.parse(before.since) > RENEWED_AFTER_MS ? { ...same, since: build.since } : same
}

export interface UnreadableOptions {
  readonly node: string
  readonly shimVersion: string | undefined
  readonly error: ShimError
  /** In milliseconds since 1970. */
  readonly at: number
}

/** An assigned build whose recipe this shim cannot read. Undefined if an older controller has not told its key. */
export function unreadableBuild(
  { namespace, name, key, recipe }: AssignedBuild,
  { node, shimVersion = 'unknown', error, at }: UnreadableOptions,
): NodeBuild | undefined {
  if (key === undefined) return undefined
  const message = `enbi-shim ${shimVersion} on ${node} cannot read the recipe of this NixBuild: ${error.message}. If the recipe is valid, update enbi-shim on that node: the controller is newer`
  return {
    ...{ namespace, key, nixBuild: name, recipe },
    state: 'Failed',
    since: apiTime(at),
    progress: 'failed',
    message: cutLines(message, NIXNODE_LIMITS.message - MARK_LENGTH),
    retryable: true,
    pods: [],
  }
}

/** A pod or a NixBuild that is younger than the failure waits for another one. */
const RENEWED_AFTER_MS = 30_000

/** What `cutLines` adds to its limit. */
const MARK_LENGTH = 3

/** No pull waits for an assigned build, so a temporary failure is not its final outcome. */
function describeFailure({ message, final }: Failure, attempt: Attempt | undefined, node: string): string {
  if (attempt === undefined || final) return message
  const { number, max } = attempt
  return number < max
    ? `attempt ${number} of ${max} failed on ${node}: ${message}`
    : `given up after ${max} attempts on ${node}: ${message}`
}

function idOf({ namespace, key, nixBuild }: BuildSubject): Pick<NodeBuild, 'namespace' | 'key' | 'nixBuild'> {
  return { namespace, key, nixBuild }
}

/** No NixBuild can stand for a store path: only the path is reported. */
function withRecipe(subject: BuildSubject): Pick<NodeBuild, 'namespace' | 'key' | 'nixBuild' | 'recipe' | 'storePath'> {
  const { recipe } = subject
  if (recipe && !isFlakeRecipe(recipe)) return { ...idOf(subject), storePath: recipe.storePath }
  return { ...idOf(subject), recipe: recipe && specOf(recipe) }
}

function runFields({ startedAt, runId, lockedFlakeUrl }: ReportedRunState): Partial<NodeBuild> {
  return { startTime: apiTime(startedAt), buildJobName: runId, lockedFlakeUrl }
}

function timesOf({ since, startTime, progress, buildJobName }: NodeBuild): Partial<NodeBuild> {
  return { since, startTime, progress, buildJobName }
}
