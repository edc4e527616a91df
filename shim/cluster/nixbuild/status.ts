import type { Condition } from '../../../kube/resources/condition.ts'
import type { NixBuild, NixBuildStatus } from '../../../kube/resources/nixbuild.ts'
import {
  allConditions,
  CLAIM_FIELDS,
  NIXBUILD_CONDITIONS,
  removeFields,
} from '../../../kube/resources/nixbuild-status.ts'
import { isAtWork, ownEntry } from './claim.ts'
import { conditionContext, type OwnStatus, ownStatus, resultOf, type StatusQuery } from './own-status.ts'

export type StatusChange =
  /** For server-side apply: everything that the status has from this shim. */
  | { readonly kind: 'apply'; readonly status: OwnStatus }
  /** For a merge patch: this node releases its claim. */
  | { readonly kind: 'release'; readonly status: object }

/**
 * The change that this node must make for a run; undefined if the status is up to date, or if another node writes it.
 */
export function statusChange(query: StatusQuery): StatusChange | undefined {
  const { live, run, node } = query
  if (run.outcome?.kind === 'Cancelled') return isAtWork(live, node) ? releaseClaim(query) : undefined
  const status = ownStatus(query)
  return status && !isUpToDate(live, status, node) ? { kind: 'apply', status } : undefined
}

function releaseClaim({ live, run, node, now }: StatusQuery): StatusChange {
  const conditions = allConditions(resultOf(run, node), conditionContext(live, now))
  const observedGeneration = live.metadata.generation
  return { kind: 'release', status: { status: 'Pending', observedGeneration, conditions, ...removeFields() } }
}

/** The status without this node's entry; undefined if there is no such entry. */
export function withoutEntry(live: NixBuild, node: string): OwnStatus | undefined {
  if (!ownEntry(live, node)) return undefined
  const { nodes, attempts, ...main } = live.status
  if (main.buildNode !== node) return {}
  return { ...main, conditions: main.conditions.filter(isOurs) }
}

/** For a merge patch: fields of earlier claims that the new status does not set; undefined if there are none. */
export function staleFields({ status }: NixBuild, next: OwnStatus): object | undefined {
  if (next.status === undefined) return undefined
  const stale = CLAIM_FIELDS.filter(field => status[field] !== undefined && next[field] === undefined)
  return stale.length === 0 ? undefined : removeFields(stale)
}

function isUpToDate(live: NixBuild, { nodes, conditions, ...main }: OwnStatus, node: string): boolean {
  const own = ownEntry(live, node)
  return (
    own?.imageDigest === nodes?.[0]?.imageDigest &&
    (conditions === undefined || textsOf(conditions) === textsOf(live.status.conditions.filter(isOurs))) &&
    JSON.stringify(main) === JSON.stringify(pick(live.status, main))
  )
}

function isOurs({ type }: Condition): boolean {
  return NIXBUILD_CONDITIONS.includes(type)
}

/** The texts without the time, which changes with them. */
function textsOf(conditions: readonly Condition[]): string {
  const texts = conditions.map(({ type, status, reason, message }) => JSON.stringify([type, status, reason, message]))
  return texts.sort().join()
}

/** The fields of `status` that `like` has, in its order. */
function pick(status: NixBuildStatus, like: object): object {
  const all = new Map<string, unknown>(Object.entries(status))
  return Object.fromEntries(Object.keys(like).map(field => [field, all.get(field)]))
}
