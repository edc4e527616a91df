import type { NixBuild, NixBuildStatus } from '../../../kube/resources/nixbuild.ts'
import { time } from '../../../kube/resources/time.ts'
import { isClaimed, ownEntry } from './claim.ts'
import { conditionsOf } from './conditions.ts'
import { type OwnStatus, ownStatus, type StatusQuery } from './own-status.ts'

export type StatusChange =
  /** For server-side apply: everything that the status has from this shim. */
  | { readonly kind: 'apply'; readonly status: OwnStatus }
  /** For a merge patch: this node releases its claim. */
  | { readonly kind: 'release'; readonly status: object }

/** Optional fields that only the node with the claim writes. */
const CLAIM_FIELDS = [
  'buildNode',
  'buildJobName',
  'imageDigest',
  'imageSize',
  'storePath',
  'lockedFlakeUrl',
  'startTime',
  'completionTime',
  'progress',
  'logTail',
] as const satisfies readonly (keyof NixBuildStatus)[]

/**
 * The change that this node must make for a run; undefined if the status is up to date, or if another node writes it.
 */
export function statusChange(query: StatusQuery): StatusChange | undefined {
  const { live, run, node } = query
  if (run.outcome?.kind === 'Cancelled') return isClaimed(live, node) ? releaseClaim(query) : undefined
  const status = ownStatus(query)
  return status && !isUpToDate(live, status, node) ? { kind: 'apply', status } : undefined
}

function releaseClaim({ live, run, node, now }: StatusQuery): StatusChange {
  const conditions = conditionsOf(run, { live, node, now: time(now) })
  return { kind: 'release', status: { status: 'Pending', conditions, ...toNulls(CLAIM_FIELDS) } }
}

/** The status without this node's entry; undefined if there is no such entry. */
export function withoutEntry(live: NixBuild, node: string): OwnStatus | undefined {
  if (!ownEntry(live, node)) return undefined
  const { nodes, attempts, ...main } = live.status
  return main.buildNode === node ? main : {}
}

/** For a merge patch: fields of earlier claims that the new status does not set; undefined if there are none. */
export function staleFields({ status }: NixBuild, next: OwnStatus): object | undefined {
  if (next.status === undefined) return undefined
  const stale = CLAIM_FIELDS.filter(field => status[field] !== undefined && next[field] === undefined)
  return stale.length === 0 ? undefined : toNulls(stale)
}

function toNulls(fields: readonly string[]): object {
  return Object.fromEntries(fields.map(field => [field, null]))
}

function isUpToDate(live: NixBuild, { nodes, conditions, ...main }: OwnStatus, node: string): boolean {
  const own = ownEntry(live, node)
  return (
    own?.imageDigest === nodes?.[0]?.imageDigest &&
    (conditions === undefined || textsOf(conditions) === textsOf(live.status.conditions)) &&
    JSON.stringify(main) === JSON.stringify(pick(live.status, main))
  )
}

/** The texts without the time, which changes with them. */
function textsOf(conditions: NixBuildStatus['conditions']): string {
  const texts = conditions.map(({ type, status, reason, message }) => JSON.stringify([type, status, reason, message]))
  return texts.sort().join()
}

/** The fields of `status` that `like` has, in its order. */
function pick(status: NixBuildStatus, like: object): object {
  const all = new Map<string, unknown>(Object.entries(status))
  return Object.fromEntries(Object.keys(like).map(field => [field, all.get(field)]))
}
