import type { Condition } from '../../kube/resources/condition.ts'
import type { EventContent } from '../../kube/resources/event.ts'
import { apiTime } from '../../kube/resources/metadata.ts'
import { type NodeCount, nixBuilds } from '../../kube/resources/nixbuild.ts'
import {
  BUILD_FIELDS,
  NIXBUILD_CONDITIONS,
  type NixBuildResult,
  nixBuildConditions,
  removeFields,
} from '../../kube/resources/nixbuild-status.ts'
import { logId, type NixBuildView, NODE_GROUPS } from '../views/nixbuild.ts'
import type { Aggregate, MainStatus } from './aggregate.ts'
import type { NixBuildAction, StatusPatch } from './nixbuild-facts.ts'
import { waitingReason } from './plan-assignment.ts'

type StatusAction = Extract<NixBuildAction, { type: 'fail' | 'assign' | 'leavePending' }>

/** Merge patch of the status. Lists are replaced as a whole, so `build` must be the latest. */
export function statusPatch(build: NixBuildView, action: StatusAction, now: number): StatusPatch {
  const { generation, conditions } = build
  const at = apiTime(now)
  return {
    // Whatever the action is, the node of the build loses it.
    ...removeFields(),
    ...(action.type === 'fail' ? { status: 'Failed', completionTime: at } : { status: 'Pending' }),
    ...action.groups,
    observedGeneration: generation,
    attempts: action.attempts,
    conditions: nixBuildConditions(resultOf(action), { conditions, generation, now: at }),
  }
}

/** Merge patch that makes the status say what the nodes do; undefined if it says so. */
export function reportPatch(build: NixBuildView, news: Aggregate, now: number): StatusPatch | undefined {
  const patch = {
    ...generationPatch(build),
    ...groupsPatch(build, news),
    ...(news.main && mainPatch(build, news.main, now)),
  }
  return Object.keys(patch).length === 0 ? undefined : patch
}

/**
 * The selected nodes may change after it was written first. The conditions then say the same of others: who waits for one
 * believes only those of the last change.
 */
function generationPatch({ generation, conditions, fields }: NixBuildView): StatusPatch {
  const { observedGeneration = generation } = fields
  return {
    ...(generation > observedGeneration && { observedGeneration: generation }),
    ...(conditions.some(condition => isOlder(condition, generation)) && {
      conditions: conditions.map(condition =>
        isOlder(condition, generation) ? { ...condition, observedGeneration: generation } : condition,
      ),
    }),
  }
}

function isOlder({ type, observedGeneration = Number.POSITIVE_INFINITY }: Condition, generation: number): boolean {
  return NIXBUILD_CONDITIONS.includes(type) && observedGeneration < generation
}

/** What changes in the numbers of nodes. */
export function groupsPatch({ fields }: NixBuildView, news: Aggregate): StatusPatch {
  const changed = NODE_GROUPS.filter(group => textOf(fields[group]) !== textOf(news[group]))
  return Object.fromEntries(changed.map(group => [group, news[group].count === 0 ? null : news[group]]))
}

function textOf(group: NodeCount = { count: 0, nodes: [] }): string {
  return `${group.count} ${group.nodes.join()}`
}

function mainPatch(build: NixBuildView, { phase, result, fields }: MainStatus, now: number): StatusPatch {
  const { generation, conditions } = build
  const after = nixBuildConditions(result, { conditions, generation, now: apiTime(now) })
  return {
    ...(phase !== build.phase && { status: phase, observedGeneration: generation }),
    ...(textsOf(after) !== textsOf(conditions) && { conditions: after }),
    ...(fields && fieldsPatch(build, phase, fields)),
  }
}

/** Without the time, which changes with them. */
function textsOf(conditions: readonly Condition[]): string {
  const texts = conditions.map(({ type, status, reason, message }) => JSON.stringify([type, status, reason, message]))
  return texts.sort().join()
}

function fieldsPatch(
  { fields: written, logId: writtenLog }: NixBuildView,
  phase: MainStatus['phase'],
  fields: NonNullable<MainStatus['fields']>,
): StatusPatch {
  // The node takes the log of an image back after a while.
  const isSameRun = fields.buildNode === written.buildNode && fields.buildJobName === written.buildJobName
  const isLogKept = phase === 'Succeeded' && fields.logTail === undefined && isSameRun
  const changed = BUILD_FIELDS.filter(field =>
    field === 'logTail' ? logId(fields.logTail) !== writtenLog && !isLogKept : fields[field] !== written[field],
  )
  return Object.fromEntries(changed.map(field => [field, fields[field] ?? null]))
}

function resultOf(action: StatusAction): NixBuildResult {
  switch (action.type) {
    case 'fail':
      return { kind: 'Failed', message: action.message }
    case 'leavePending':
      return { kind: 'Undecided', reason: action.reason, message: action.message }
    case 'assign': {
      const last = action.attempts.at(-1)
      const before = last === undefined ? '' : `; before: ${last.reason}`
      return { kind: 'Undecided', reason: 'GivenToNode', message: `assigned to node ${action.node}${before}` }
    }
  }
}

/** The Event to record about the NixBuild. */
export function nixBuildEvent(build: NixBuildView, action: NixBuildAction): EventContent | undefined {
  const { namespace, name, uid } = build
  const { apiVersion, kind } = nixBuilds
  const about = { apiVersion, kind, namespace, name, uid }
  switch (action.type) {
    case 'assign': {
      const last = action.attempts.at(-1)
      if (last === undefined) return undefined
      const message = `Assigned to node ${action.node}: ${last.reason}`
      return { about, type: 'Normal', reason: 'GivenToAnotherNode', message }
    }
    case 'leavePending':
      // The status already says that no node builds it; a changed reason appears only there.
      if (action.reason === 'TooMany' || (action.reason === 'NoNode' && waitingReason(build) !== undefined))
        return undefined
      return { about, type: 'Warning', reason: action.reason, message: action.message }
    case 'fail':
      return { about, type: 'Warning', reason: 'Failed', message: action.message }
    default:
      return undefined
  }
}
