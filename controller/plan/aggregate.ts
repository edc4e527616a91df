import { apiTime } from '../../kube/resources/metadata.ts'
import {
  NIXBUILD_LIMITS,
  type NixBuildPhase,
  type NixBuildStatus,
  type NodeCount,
} from '../../kube/resources/nixbuild.ts'
import type { BuildField, NixBuildResult } from '../../kube/resources/nixbuild-status.ts'
import { describeDuration, describeMegabytes } from '../../lib/text/units.ts'
import type { NixBuildView, NodeGroup } from '../views/nixbuild.ts'
import { isActive, type NodeEntry } from '../views/nixnode.ts'

export interface NodeReports {
  readonly build: NixBuildView
  /**
   * Failures that were learned earlier are of another NixBuild of the recipe, and count only for pods that they
   * concerned. In milliseconds since 1970.
   */
  readonly bornAt: number
  /** What the nodes say about the recipe, by node. */
  readonly entries: ReadonlyMap<string, NodeEntry>
  /**
   * Whether a pod of the node requests the recipe, or the controller has given it to the node. Anything else that a node
   * says may be forged, and decides nothing.
   */
  readonly isTrusted: (node: string) => boolean
  /** Since when a pod of the node waits for the recipe, in milliseconds since 1970; infinite if none does. */
  readonly waitingSince: (node: string) => number
  /** Whether the work of the node counts: the node is not lost. */
  readonly counts: (node: string, entry: NodeEntry) => boolean
  /** Whether the node says anything about its builds. Those with older shims do not. */
  readonly isHeard: (node: string) => boolean
  /** Whether the node builds nothing. That it waited in vain is no failure of the build. */
  readonly isFetchOnly: (node: string) => boolean
  /** Names of the nodes that the NixBuild selects. Undefined: it selects none. */
  readonly selected: readonly string[] | undefined
}

/** What the nodes do about a NixBuild, together. */
export interface Aggregate extends Readonly<Record<NodeGroup, NodeCount>> {
  /** Undefined: the rest of the status stays. */
  readonly main: MainStatus | undefined
  /** No node works on it, has the image or has failed. */
  readonly isLeft: boolean
}

export interface MainStatus {
  readonly phase: NixBuildPhase
  readonly result: NixBuildResult
  /** Missing fields are removed; undefined: all stay. */
  readonly fields: Partial<Pick<NixBuildStatus, BuildField>> | undefined
}

interface Report {
  readonly node: string
  readonly entry: NodeEntry
}

/** The first of each kind, and how many there are. */
interface Found extends Readonly<Record<NodeGroup, NodeCount>> {
  readonly present: Report | undefined
  readonly builder: Report | undefined
  readonly failure: Report | undefined
}

/**
 * Joins what all nodes say. An image that is present anywhere is a success; a failure is one only if nobody works on the
 * recipe or has the image. The node of the status stays for as long as it does what the status says.
 */
export function aggregate(reports: NodeReports): Aggregate {
  const found = collect(reports)
  const { ready, building, failed, selected, missing, present, builder, failure } = found
  const main = succeeded(reports, found) ?? atWork(found) ?? failing(reports, failure) ?? interrupted(reports, found)
  return { ready, building, failed, selected, missing, main, isLeft: (present ?? builder ?? failure) === undefined }
}

function collect(reports: NodeReports): Found {
  const { build, entries, isTrusted, isFetchOnly, counts } = reports
  const groups = createGroups()
  let present: Report | undefined
  /** Counts only if no node has it that can have built it. */
  let fetched: Report | undefined
  let builder: Report | undefined
  let failure: Report | undefined
  for (const [node, entry] of entries) {
    const report = { node, entry }
    const isPresent = entry.state === 'Present'
    // The pods that an image was made for may be gone.
    if (isPresent) groups.ready.add(node)
    if (!isTrusted(node)) continue
    if (isPresent && isFetchOnly(node)) fetched = earlier(build, fetched, report)
    else if (isPresent) present = earlier(build, present, report)
    else if (entry.state === 'Failed') {
      if (isOfBefore(reports, report)) continue
      groups.failed.add(node)
      if (isFetchOnly(node) && entry.details.retryable) continue
      failure = earlier(build, failure, report)
    } else if (counts(node, entry)) {
      if (entry.state !== 'Queued') groups.building.add(node)
      builder = further(build, builder, report)
    }
  }
  for (const node of reports.selected ?? []) {
    groups.selected.add(node)
    if (entries.get(node)?.state !== 'Present') groups.missing.add(node)
  }
  return { ...countAll(groups), present: present ?? fetched, builder, failure }
}

/** Times of entries are in whole seconds. */
function isOfBefore({ bornAt, waitingSince }: NodeReports, { node, entry }: Report): boolean {
  return entry.at < Math.floor(Math.min(bornAt, waitingSince(node)) / 1000)
}

function createGroups(): Readonly<Record<NodeGroup, Group>> {
  const counted = { ready: createGroup(), building: createGroup(), failed: createGroup() }
  return { ...counted, selected: createGroup(), missing: createGroup() }
}

function countAll({ ready, building, failed, selected, missing }: ReturnType<typeof createGroups>) {
  const counted = { ready: ready.count(), building: building.count(), failed: failed.count() }
  return { ...counted, selected: selected.count(), missing: missing.count() }
}

interface Group {
  add(node: string): void
  count(): NodeCount
}

/** The first nodes by name, so that the names do not depend on the order of events. */
function createGroup(): Group {
  const names: string[] = []
  let count = 0
  return {
    add(node) {
      count += 1
      const last = names.at(-1)
      if (names.length === NIXBUILD_LIMITS.namedNodes && last !== undefined && last < node) return
      names.push(node)
      names.sort()
      names.length = Math.min(names.length, NIXBUILD_LIMITS.namedNodes)
    },
    count: () => ({ count, nodes: names }),
  }
}

function earlier({ buildNode }: NixBuildView, a: Report | undefined, b: Report): Report {
  if (a === undefined || b.node === buildNode) return b
  if (a.node === buildNode) return a
  return (a.entry.at - b.entry.at || (a.node < b.node ? -1 : 1)) < 0 ? a : b
}

const STAGES = ['Queued', 'Importing', 'Building']

function further(build: NixBuildView, a: Report | undefined, b: Report): Report {
  const stage = ({ entry }: Report) => STAGES.indexOf(entry.state)
  if (a === undefined || stage(a) === stage(b)) return earlier(build, a, b)
  // A node that waits for the build of another one may have been taken for the one that builds, while it evaluated.
  const waits = a.entry.state === 'Queued' || b.entry.state === 'Queued'
  if (!waits && [a.node, b.node].includes(build.buildNode ?? '')) return earlier(build, a, b)
  return stage(a) > stage(b) ? a : b
}

function succeeded({ build, isFetchOnly }: NodeReports, found: Found): MainStatus | undefined {
  const { present, builder, failed, failure } = found
  const problem = describeFailures(failed, failure)
  const waiting = describeMissing(found)
  const kept = build.phase === 'Succeeded' ? build.fields.imageDigest : undefined
  const hasChanged = present?.node === build.buildNode && present?.entry.details.imageDigest !== kept
  // A node that has built it comes in place of one that cannot have.
  const isBuilder = present !== undefined && isFetchOnly(build.buildNode ?? '') && !isFetchOnly(present.node)
  const isNew = kept === undefined || hasChanged || isBuilder
  if (present !== undefined && isNew) {
    const fields = successFields(build, present)
    return {
      phase: 'Succeeded',
      fields,
      result: { kind: 'Succeeded', imageId: fields.imageDigest ?? '', problem, waiting },
    }
  }
  // The nodes forget images that were removed, and the oldest of many.
  if (kept === undefined || (present === undefined && builder !== undefined)) return undefined
  return { phase: 'Succeeded', fields: undefined, result: { kind: 'Succeeded', imageId: kept, problem, waiting } }
}

function successFields(build: NixBuildView, report: Report) {
  const { details, at, since } = report.entry
  const { imageDigest, imageSize, storePath, lockedFlakeUrl, logTail } = details
  const { buildJobName, startTime, progress } = runFields(build, report)
  return {
    buildNode: report.node,
    buildJobName,
    startTime,
    imageDigest,
    imageSize,
    storePath,
    lockedFlakeUrl,
    completionTime: apiTime(at * 1000),
    progress: progress ?? summarizeSuccess(since, startTime, imageSize),
    logTail,
  }
}

function summarizeSuccess(since: number, startTime = '', imageSize?: number): string {
  const took = since * 1000 - Date.parse(startTime)
  if (Number.isNaN(took)) return 'existed already'
  const size = imageSize === undefined ? '' : `, ${describeMegabytes(imageSize)}`
  return `loaded in ${describeDuration(Math.max(0, took))}${size}`
}

/** Nodes with the same image share the details of one of them, whose run was another one. */
function runFields({ buildNode, fields }: NixBuildView, { node, entry: { details } }: Report) {
  const isOwn = details.node === node
  const isKnown = buildNode === node
  return {
    buildJobName: isOwn ? details.buildJobName : isKnown ? fields.buildJobName : undefined,
    startTime: isOwn ? details.startTime : isKnown ? fields.startTime : undefined,
    progress: isOwn ? details.progress : undefined,
  }
}

function atWork({ builder, failed, failure }: Found): MainStatus | undefined {
  if (builder === undefined) return undefined
  const { node, entry } = builder
  const { message, lockedFlakeUrl, startTime, buildJobName, progress, logTail } = entry.details
  const problem = describeFailures(failed, failure)
  const undecided = (reason: string, text: string): NixBuildResult => ({
    kind: 'Undecided',
    reason,
    message: problem === undefined ? text : `${text}; ${problem}`,
  })
  const run = { buildNode: node, buildJobName, startTime, lockedFlakeUrl, progress }
  if (entry.state !== 'Queued') {
    const phase = entry.state === 'Importing' ? 'Importing' : 'Building'
    return { phase, fields: { ...run, logTail }, result: undecided(phase, `${phase} on ${node}`) }
  }
  if (message === undefined)
    return { phase: 'Pending', fields: { progress }, result: undecided('Queued', `queued on ${node}`) }
  const fields = { ...run, progress: progress ?? 'waiting for another attempt', logTail }
  return { phase: 'Pending', fields, result: undecided('Retrying', message) }
}

function failing({ build }: NodeReports, failure: Report | undefined): MainStatus | undefined {
  if (failure === undefined || isKnownFailure(build, failure)) return undefined
  const { node, entry } = failure
  const { buildJobName, startTime, logTail } = entry.details
  const completionTime = apiTime(entry.at * 1000)
  return {
    phase: 'Failed',
    fields: { buildNode: node, buildJobName, startTime, completionTime, progress: 'failed', logTail },
    result: { kind: 'Failed', message: messageOf(failure) },
  }
}

/** The same failure again is not news: the times and the log of the first one stay. */
function isKnownFailure(build: NixBuildView, failure: Report): boolean {
  if (build.phase !== 'Failed') return false
  if (failure.entry.at * 1000 <= (build.finishedAt ?? 0)) return true
  const written = build.conditions.find(({ type }) => type === 'Success')?.message
  return build.buildNode === failure.node && written === messageOf(failure)
}

/** The node of the status has stopped, for example by a restart, and said nothing more. */
function interrupted({ build, isHeard, entries }: NodeReports, { failure }: Found): MainStatus | undefined {
  const { phase, buildNode, conditions } = build
  const isQueued = phase === 'Pending' && conditions.some(({ reason }) => reason === 'Queued')
  const own = buildNode === undefined ? undefined : entries.get(buildNode)
  const isStopped = buildNode !== undefined && isHeard(buildNode) && !(own && isActive(own))
  if (failure !== undefined || phase === 'Succeeded' || phase === 'Failed' || !(isQueued || isStopped)) return undefined
  const message = isStopped ? `the build on ${buildNode} was interrupted` : 'no node builds it'
  return { phase: 'Pending', fields: {}, result: { kind: 'Undecided', reason: 'Interrupted', message } }
}

function describeFailures({ count }: NodeCount, failure: Report | undefined): string | undefined {
  if (failure === undefined) return undefined
  const others = count > 1 ? ` and ${count - 1} more` : ''
  return `failed on ${failure.node}${others}: ${messageOf(failure)}`
}

/** Undefined if all nodes that it selects have the image. */
function describeMissing({ selected, missing, building }: Found): string | undefined {
  if (missing.count === 0) return undefined
  const ready = `${selected.count - missing.count} of ${selected.count} selected nodes have the image`
  const [first] = building.nodes ?? []
  const others = building.count > 1 ? ` and ${building.count - 1} more` : ''
  return first === undefined ? ready : `${ready}; ${first}${others} at work`
}

function messageOf({ entry }: Report): string {
  return entry.details.message || 'the build failed'
}
