import { isDeepStrictEqual } from 'node:util'
import { objectKey } from '../../kube/mirror.ts'
import type { NixBuildRecipe } from '../../kube/resources/nixbuild.ts'
import type { NixNode, NodeBuild, NodeBuildState } from '../../kube/resources/nixnode.ts'
import { storedBytes } from '../../kube/stored-bytes.ts'
import { cutLines } from '../../lib/text/cut.ts'
import { recipeId } from './nixbuild.ts'

/** The parts of a NixNode that the controller needs. */
export interface NixNodeView {
  readonly name: string
  readonly uid: string
  readonly generation: number
  readonly deleting: boolean
  /** UID of the Node that owns it. */
  readonly owner: string | undefined
  readonly spec: NixNodeSpecView
  /** Its shim builds nothing. */
  readonly fetchOnly: boolean
  /** Others can copy from it. */
  readonly serves: boolean
  readonly entries: readonly NodeEntry[]
}

export interface NixNodeSpecView {
  readonly assigned: readonly AssignedView[]
  readonly letGo: readonly string[]
  /** Undefined until a controller has written it. */
  readonly namespaces: readonly string[] | undefined
}

/** An assigned build. */
export interface AssignedView {
  /** The `objectKey` of the NixBuild. */
  readonly key: string
  readonly recipe: NixBuildRecipe
}

/** In bytes, as the NixNode has it: with its names and its hash. */
export function sizeOfAssigned(assigned: AssignedView): number {
  return storedBytes(assigned) + 100
}

/** What a node says about one recipe of one namespace. There may be millions. */
export interface NodeEntry {
  /** The `recipeId`. */
  readonly id: string
  readonly state: NodeBuildState
  /** Since when, by the node's clock. In seconds since 1970, like `at`. */
  readonly since: number
  /** When the controller learned it, or `since` if the node was in this state when the controller started. */
  readonly at: number
  readonly details: EntryDetails
}

/** Nodes that have the same image share the details of the first. */
export interface EntryDetails extends ImageDetails {
  /** The node that they are from. */
  readonly node: string
  readonly recipe?: NixBuildRecipe | undefined
  readonly startTime?: string | undefined
  readonly progress?: string | undefined
  readonly buildJobName?: string | undefined
  readonly message?: string | undefined
  readonly retryable?: boolean | undefined
  readonly logTail?: string | undefined
  readonly pods: readonly WaitingPod[]
}

interface ImageDetails {
  readonly imageDigest?: string | undefined
  readonly imageSize?: number | undefined
  readonly storePath?: string | undefined
  readonly lockedFlakeUrl?: string | undefined
}

/** A pod whose pull waits. */
export interface WaitingPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface KnownEntries {
  /** The entries of a `recipeId` so far, by node. */
  readonly ofRecipe: (id: string) => ReadonlyMap<string, NodeEntry>
  /** Whether the controller has seen this NixNode before, and so learns of each change immediately. */
  readonly isWatched: (node: string) => boolean
  /** In milliseconds. */
  readonly now: number
}

/** Later ones of a recipe are compared with so many of the earlier ones, to share what is the same. */
const MAX_COMPARED = 8
/** Nodes whose log of one failed recipe is kept; a NixBuild shows one. */
const MAX_LOGS = 2
/** Longest kept message of a failure, in characters. */
const MAX_MESSAGE = 1024
const NO_PODS: readonly WaitingPod[] = []

export function nixNodeView({ metadata, spec, status }: NixNode, known: KnownEntries): NixNodeView {
  const { name, uid, generation, deletionTimestamp, ownerReferences } = metadata
  const entries = new Map(status.builds.map(build => entryOf(name, build, known)).map(entry => [entry.id, entry]))
  return {
    name,
    uid,
    generation,
    deleting: deletionTimestamp !== undefined,
    owner: ownerReferences.find(({ kind }) => kind === 'Node')?.uid,
    spec: {
      assigned: spec.assigned.map(each => ({ key: objectKey(each), recipe: each.recipe })),
      letGo: spec.letGo,
      namespaces: spec.namespaces,
    },
    fetchOnly: status.store?.fetchOnly === true,
    serves: status.store?.address !== undefined,
    entries: [...entries.values()],
  }
}

export function isActive({ state }: NodeEntry): boolean {
  return state === 'Queued' || state === 'Building' || state === 'Importing'
}

function entryOf(node: string, build: NodeBuild, { ofRecipe, isWatched, now }: KnownEntries): NodeEntry {
  const id = recipeId(build.namespace, build.key)
  const others = ofRecipe(id)
  const before = others.get(node)
  const since = seconds(build.since)
  const isSame = before?.state === build.state && before.since === since
  if (isSame && build.state === 'Present' && isSameImage(before.details, build)) return before
  const known = firstOf(others)
  const learned = isWatched(node) ? seconds(now) : Math.min(since, seconds(now))
  return {
    id: (before ?? known[0])?.id ?? id,
    state: build.state,
    since,
    at: isSame ? before.at : learned,
    details: detailsOf(node, build, known),
  }
}

function detailsOf(node: string, build: NodeBuild, known: readonly NodeEntry[]): EntryDetails {
  const { recipe, startTime, progress, buildJobName, imageDigest, imageSize, storePath, lockedFlakeUrl, logTail } =
    build
  const image = { imageDigest, imageSize, storePath, lockedFlakeUrl }
  if (build.state === 'Present') {
    const same = known.find(({ state, details }) => state === 'Present' && isSameImage(details, build))
    return same?.details ?? { node, recipe, startTime, progress, buildJobName, ...image, logTail, pods: podsOf(build) }
  }
  const { message, retryable } = build
  const logs = known.filter(({ details }) => details.node !== node && details.logTail !== undefined)
  return {
    node,
    recipe,
    startTime,
    progress,
    buildJobName,
    ...image,
    message: message && cutLines(message, MAX_MESSAGE),
    retryable,
    logTail: logs.length < MAX_LOGS ? logTail : undefined,
    pods: podsOf(build),
  }
}

function podsOf({ namespace, pods }: NodeBuild): readonly WaitingPod[] {
  return pods.length === 0 ? NO_PODS : pods.map(({ name, uid }) => ({ namespace, name, uid }))
}

/** A node whose pods wait for an image that is present is checking it: its entry is its own. So is one with a log. */
function isSameImage(details: EntryDetails, build: NodeBuild): boolean {
  return (
    details.imageDigest === build.imageDigest &&
    details.imageSize === build.imageSize &&
    details.storePath === build.storePath &&
    details.lockedFlakeUrl === build.lockedFlakeUrl &&
    details.logTail === build.logTail &&
    isDeepStrictEqual(details.recipe, build.recipe) &&
    details.pods.length === 0 &&
    build.pods.length === 0
  )
}

function firstOf(entries: ReadonlyMap<string, NodeEntry>): readonly NodeEntry[] {
  const first: NodeEntry[] = []
  for (const entry of entries.values()) {
    if (first.length >= MAX_COMPARED) break
    first.push(entry)
  }
  return first
}

function seconds(time: string | number): number {
  const at = typeof time === 'number' ? time : Date.parse(time)
  return Number.isNaN(at) ? 0 : Math.floor(at / 1000)
}
