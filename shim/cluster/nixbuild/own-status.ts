import { apiTime } from '../../../kube/resources/metadata.ts'
import { NODE_LABEL, nodeLabelValue } from '../../../kube/resources/names.ts'
import {
  NIXBUILD_LIMITS,
  type NixBuild,
  type NixBuildNode,
  type NixBuildStatus,
} from '../../../kube/resources/nixbuild.ts'
import {
  type ConditionContext,
  type NixBuildResult,
  nixBuildConditions,
} from '../../../kube/resources/nixbuild-status.ts'
import { describeDuration, describeMegabytes } from '../../../lib/text/units.ts'
import type { Attempt } from '../../pull/contract.ts'
import { isClaimable, ownEntry } from './claim.ts'
import type { Failure, ReportedRunState, Retrying, RunOutcome, Success } from '../builds/reported-run.ts'

interface AttemptContext {
  readonly live: NixBuild
  readonly node: string
  /** Set if the NixBuild is assigned to this node. */
  readonly attempt?: Attempt | undefined
}

/** The part of a NixBuild's status that one shim owns: only its entry in `nodes`, or everything if it has the claim. */
export type OwnStatus = Partial<Omit<NixBuildStatus, 'attempts'>>

export interface StatusQuery {
  readonly live: NixBuild
  readonly run: ReportedRunState
  readonly node: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** Whether a request on this node waits for the recipe. */
  readonly isWanted: boolean
  /** Set if the NixBuild is assigned to this node. */
  readonly attempt?: Attempt | undefined
}

/** The status that this node writes for a run that was not cancelled; undefined if it must not write any. */
export function ownStatus(asked: StatusQuery): OwnStatus | undefined {
  const { live, node } = asked
  const outcome = outcomeOfAttempt(asked.run.outcome, asked)
  const query = { ...asked, run: { ...asked.run, outcome } }
  if (outcome?.kind === 'Succeeded') {
    const nodes = newEntries(query, outcome)
    return isClaimable(live, node) ? { ...succeededStatus(query, outcome), nodes } : { nodes }
  }
  if (outcome?.kind === 'Cancelled' || !isClaimable(live, node) || keepsSuccess(query) || isUnwanted(query))
    return undefined
  const entry = ownEntry(live, node)
  return { ...unsuccessfulStatus(query, outcome), ...(entry && { nodes: [entry] }) }
}

/** A successful status stays while the image is checked again, and when that fails temporarily. */
function keepsSuccess({ live, run: { outcome }, node }: StatusQuery): boolean {
  const isThere = live.status.status === 'Succeeded' && ownEntry(live, node) !== undefined
  return isThere && (outcome?.kind !== 'Failed' || !outcome.final)
}

/** A run without waiting requests must not take the claim from nodes that may want it. */
function isUnwanted({ live, run: { outcome }, node, isWanted }: StatusQuery): boolean {
  return !isWanted && outcome === undefined && live.status.buildNode !== node
}

function newEntries({ live, node }: StatusQuery, { imageId, at }: Success): NixBuildNode[] {
  const before = ownEntry(live, node)
  if (before?.imageDigest === imageId) return [before]
  if (!before && live.status.nodes.length >= NIXBUILD_LIMITS.nodes) return []
  return [{ name: node, imageDigest: imageId, since: apiTime(at) }]
}

function unsuccessfulStatus(query: StatusQuery, outcome: Failure | Retrying | undefined): OwnStatus {
  switch (outcome?.kind) {
    case 'Failed':
      return failedStatus(query, outcome)
    case 'Retrying':
      return retryingStatus(query, outcome)
    case undefined:
      return workingStatus(query)
  }
}

function workingStatus(query: StatusQuery): OwnStatus {
  const { phase, progress } = query.run
  return { status: phase, ...claimFields(query), progress }
}

function retryingStatus(query: StatusQuery, { logTail }: Retrying): OwnStatus {
  return {
    status: 'Pending',
    ...claimFields(query),
    progress: 'waiting for another attempt',
    ...(logTail !== '' && { logTail }),
  }
}

function failedStatus(query: StatusQuery, { at, message, logTail }: Failure): OwnStatus {
  const { status: before } = query.live
  const tail = logTail !== '' && { logTail }
  const result = {
    status: 'Failed' as const,
    ...claimFields(query),
    progress: 'failed',
    completionTime: apiTime(at),
    ...tail,
  }
  const isSame = before.status === 'Failed' && before.conditions.some(condition => condition.message === message)
  if (!isSame) return result
  // The same failure again is not news: keep the times and the log of the first one.
  const { startTime, completionTime, buildJobName } = before
  return { ...result, startTime, completionTime, buildJobName, ...(before.logTail && { logTail: before.logTail }) }
}

function succeededStatus(query: StatusQuery, outcome: Success): OwnStatus {
  const { live, run } = query
  const { imageId, imageSize, at } = outcome
  const before = live.status
  const isSame = before.imageDigest === imageId
  const result = {
    status: 'Succeeded' as const,
    ...claimFields(query),
    imageDigest: imageId,
    imageSize: imageSize ?? (isSame ? before.imageSize : undefined),
    storePath: run.storePath ?? (isSame ? before.storePath : undefined),
    lockedFlakeUrl: run.lockedFlakeUrl,
  }
  if (before.status === 'Succeeded' && isSame) {
    // It was built before and has only been checked again.
    const { startTime, completionTime, progress, buildJobName } = before
    return { ...result, startTime, completionTime, progress, buildJobName }
  }
  return { ...result, progress: summarizeSuccess(run, outcome), completionTime: apiTime(at) }
}

function summarizeSuccess({ startedAt }: ReportedRunState, { present, at, imageSize }: Success): string {
  if (present) return 'existed already'
  const size = imageSize === undefined ? '' : `, ${describeMegabytes(imageSize)}`
  return `loaded in ${describeDuration(at - startedAt)}${size}`
}

function claimFields({ live, run, node, now }: StatusQuery): OwnStatus {
  return {
    observedGeneration: live.metadata.generation,
    conditions: nixBuildConditions(resultOf(run, node), conditionContext(live, now)),
    buildNode: node,
    buildJobName: run.runId,
    startTime: apiTime(run.startedAt),
  }
}

/** What the conditions say about the run. */
export function resultOf({ phase, outcome }: ReportedRunState, node: string): NixBuildResult {
  switch (outcome?.kind) {
    case 'Succeeded':
    case 'Failed':
      return outcome
    case 'Retrying':
      return { kind: 'Undecided', reason: 'Retrying', message: outcome.message }
    case 'Cancelled':
      return { kind: 'Undecided', reason: 'Interrupted', message: outcome.message }
    case undefined:
      return { kind: 'Undecided', reason: phase, message: `${phase} on ${node}` }
  }
}

export function conditionContext({ metadata, status }: NixBuild, now: number): ConditionContext {
  return { conditions: status.conditions, generation: metadata.generation, now: apiTime(now) }
}

/** No pull waits for an assigned NixBuild, so a temporary failure is not its final outcome. */
function outcomeOfAttempt(
  outcome: RunOutcome | undefined,
  { live, node, attempt }: AttemptContext,
): RunOutcome | undefined {
  const isAssigned = live.metadata.labels[NODE_LABEL] === nodeLabelValue(node)
  if (!attempt || !isAssigned || outcome?.kind !== 'Failed' || outcome.final) return outcome
  const { number, max } = attempt
  return number < max
    ? { ...outcome, kind: 'Retrying', message: `attempt ${number} of ${max} failed on ${node}: ${outcome.message}` }
    : { ...outcome, message: `given up after ${max} attempts on ${node}: ${outcome.message}` }
}
