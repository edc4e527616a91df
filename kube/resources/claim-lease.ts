import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { ERROR_CODES, isErrorCode } from '../../lib/errors.ts'
import { cutLines } from '../../lib/text/cut.ts'
import { cleanText, copyStart } from '../../lib/text/text.ts'
import { hashOfStorePath, isStorePath } from '../../recipes/store-path.ts'
import type { Kind } from '../client/contract.ts'
import { leases, microTime } from './lease.ts'
import { CLAIM_LABEL, CLAIM_OF_PATH, CLAIM_OF_SLOT, STORE_PATH_ANNOTATION } from './names.ts'

/** What the holder builds: several derivations may have one output path. */
const DERIVATION_ANNOTATION = 'enbi.hrzn.ee/derivation'
/** How far the holder is, for people. deploy/base/claim-admission.yaml knows all these names, too. */
const PROGRESS_ANNOTATION = 'enbi.hrzn.ee/progress'
/** Names of nodes that have the path, separated by commas. */
const NODES_ANNOTATION = 'enbi.hrzn.ee/nodes'
/** Why the path can never be built, as JSON. */
const FAILURE_ANNOTATION = 'enbi.hrzn.ee/failure'

/** deploy/base/claim-admission.yaml also enforces these. Texts are in characters. */
export const CLAIM_LIMITS = {
  durationMs: 60_000,
  nodes: 8,
  progress: 200,
  failure: 6_144,
  failureMessage: 2_048,
} as const

/** Nodes that may copy from one node at the same time, whatever it says. */
export const MAX_SERVED = 64

const SHORT_MESSAGE = 512
/** Longer names of nodes are cut in the names of slots. */
const MAX_PEER = 200
const SHORT_HASH = 16

/** A name of a Node, as the API server admits it. */
const NODE_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

/** Name of the Lease for a store path; undefined for other paths. */
export function pathClaimName(storePath: string): string | undefined {
  return isStorePath(storePath) ? `path-${hashOfStorePath(storePath)}` : undefined
}

/** Name of the Lease for one of the places at a peer. */
export function slotName(peer: string, index: number): string {
  if (peer.length <= MAX_PEER) return `slot-${peer}-${index}`
  const hash = createHash('sha256').update(peer).digest('hex').slice(0, SHORT_HASH)
  return `slot-${peer.slice(0, MAX_PEER - SHORT_HASH - 1)}-${hash}-${index}`
}

/** The failure of a build, as its node tells it. */
export interface ToldFailure {
  readonly code: SharedFailure
  readonly message: string
  readonly node: string
}

/** Failures that another node would meet, too. The others may have causes on one node: a slow one does not build in time. */
const SHARED_FAILURES = ['BuilderFailed'] as const
export type SharedFailure = (typeof SHARED_FAILURES)[number]

export function isSharedFailure(code: string): code is SharedFailure {
  return isErrorCode(code) && ERROR_CODES[code] === 'final' && SHARED_FAILURES.some(shared => shared === code)
}

const failureSchema = v.pipe(
  v.string(),
  v.maxLength(CLAIM_LIMITS.failure),
  v.parseJson(),
  v.object({
    code: v.picklist(SHARED_FAILURES),
    message: v.pipe(
      v.string(),
      v.transform(text => cutLines(cleanText(text), CLAIM_LIMITS.failureMessage)),
    ),
    node: v.pipe(v.string(), v.regex(NODE_NAME)),
  }),
)

/** A claim or a slot. Its texts are bounded and cleaned, because any shim may have written them. */
export interface ClaimLease {
  readonly resourceVersion: string
  /** Empty: nobody. */
  readonly holder: string
  /** Without a renewal for this long, the holder counts as lost. */
  readonly durationMs: number
  /** What the holder builds, or the last one has built; empty if that is not known. */
  readonly derivation: string
  readonly progress: string
  readonly nodes: readonly string[]
  readonly failure?: ToldFailure | undefined
}

export const claimLeases: Kind<ClaimLease> = {
  ...leases,
  parse(object) {
    const { metadata, spec } = leases.parse(object)
    const { annotations, resourceVersion } = metadata
    const holder = spec.holderIdentity ?? ''
    return {
      resourceVersion,
      holder: NODE_NAME.test(holder) ? holder : copyStart(cleanText(holder), CLAIM_LIMITS.progress),
      durationMs: Math.min(Math.max(spec.leaseDurationSeconds ?? 0, 1) * 1000, CLAIM_LIMITS.durationMs),
      derivation: readDerivation(annotations[DERIVATION_ANNOTATION] ?? ''),
      progress: oneLine(annotations[PROGRESS_ANNOTATION] ?? ''),
      nodes: readNodes(annotations[NODES_ANNOTATION] ?? ''),
      failure: readFailure(annotations[FAILURE_ANNOTATION]),
    }
  },
}

function oneLine(text: string): string {
  return copyStart(cleanText(text.slice(0, CLAIM_LIMITS.progress)).replaceAll('\n', ' '), CLAIM_LIMITS.progress)
}

function readDerivation(text: string): string {
  return isStorePath(text) ? copyStart(text, text.length) : ''
}

function readNodes(text: string): string[] {
  const names = text.slice(0, 4096).split(',', CLAIM_LIMITS.nodes)
  return [...new Set(names)].filter(name => NODE_NAME.test(name)).map(name => copyStart(name, name.length))
}

function readFailure(text: string | undefined): ToldFailure | undefined {
  const parsed = v.safeParse(failureSchema, text)
  return parsed.success ? parsed.output : undefined
}

/** What a holder writes. */
export interface ClaimChange {
  readonly holder?: string
  readonly durationMs?: number
  readonly derivation?: string
  /** Null removes the annotation. */
  readonly progress?: string | null
  readonly nodes?: readonly string[]
  readonly failure?: ToldFailure | null
}

/** The body of a merge patch. The resourceVersion is its precondition. */
export function claimPatch(resourceVersion: string, change: ClaimChange): object {
  const { holder, durationMs, derivation, progress, nodes, failure } = change
  const annotations = {
    ...(derivation !== undefined && { [DERIVATION_ANNOTATION]: derivation }),
    ...(progress !== undefined && { [PROGRESS_ANNOTATION]: progress && oneLine(progress) }),
    ...(nodes !== undefined && { [NODES_ANNOTATION]: nodes.slice(0, CLAIM_LIMITS.nodes).join(',') || null }),
    ...(failure !== undefined && { [FAILURE_ANNOTATION]: failure && writeFailure(failure) }),
  }
  const spec = {
    ...(holder !== undefined && { holderIdentity: holder }),
    ...(durationMs !== undefined && heldFor(durationMs)),
  }
  const hasSpec = Object.keys(spec).length > 0
  return { metadata: { resourceVersion, annotations }, ...(hasSpec && { spec }) }
}

function writeFailure({ code, message, node }: ToldFailure): string {
  const text = JSON.stringify({ code, message: cutLines(message, CLAIM_LIMITS.failureMessage), node })
  // A message of quotes or control characters takes up to six times its length.
  const isLong = text.length > CLAIM_LIMITS.failure
  return isLong ? JSON.stringify({ code, message: cutLines(message, SHORT_MESSAGE), node }) : text
}

export interface ClaimedPath {
  readonly storePath: string
  /** The derivation that has it as its output; unknown to a node that had the path before. */
  readonly drvPath?: string | undefined
}

export interface NewClaim {
  readonly holder: string
  readonly durationMs: number
  /** Undefined for a slot. */
  readonly path?: ClaimedPath | undefined
}

/** The body of a new Lease. */
export function newClaim({ holder, durationMs, path }: NewClaim): object {
  const annotations = path && {
    [STORE_PATH_ANNOTATION]: path.storePath,
    ...(path.drvPath !== undefined && { [DERIVATION_ANNOTATION]: path.drvPath }),
  }
  const metadata = {
    labels: { [CLAIM_LABEL]: path ? CLAIM_OF_PATH : CLAIM_OF_SLOT },
    ...(annotations && { annotations }),
  }
  return { metadata, spec: { holderIdentity: holder, ...heldFor(durationMs) } }
}

/** The body of a new Lease that nobody holds, for a path that these nodes have. */
export function releasedClaim({ storePath, nodes }: { readonly storePath: string; readonly nodes: readonly string[] }) {
  const annotations = {
    [STORE_PATH_ANNOTATION]: storePath,
    [NODES_ANNOTATION]: nodes.slice(0, CLAIM_LIMITS.nodes).join(','),
  }
  return { metadata: { labels: { [CLAIM_LABEL]: CLAIM_OF_PATH }, annotations }, spec: heldFor(CLAIM_LIMITS.durationMs) }
}

function heldFor(durationMs: number) {
  return { leaseDurationSeconds: Math.ceil(durationMs / 1000), renewTime: microTime(new Date()) }
}
