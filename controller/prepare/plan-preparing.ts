import { AGAIN_MS } from '../plan/plan-assignment.ts'
import { soonest } from '../plan/soonest.ts'
import type { NodeEntry } from '../views/nixnode.ts'
import { isActive } from '../views/nixnode.ts'

/** A node that a NixBuild selects, or that has been asked to make its image. */
export interface PreparedNode {
  readonly name: string
  readonly selected: boolean
  /** Nothing keeps its shim from making images. */
  readonly able: boolean
  readonly fetchOnly: boolean
  /** What it says about the recipe. */
  readonly entry: NodeEntry | undefined
  readonly isAsked: boolean
  /** When it was last asked, in milliseconds since 1970, if this process did it. */
  readonly askedAt: number | undefined
}

export interface PreparingFacts {
  readonly nodes: readonly PreparedNode[]
  /** Earlier failures are of another NixBuild of the recipe. In milliseconds since 1970. */
  readonly bornAt: number
  /** How many more nodes may be asked for NixBuilds of the namespace. */
  readonly room: number
  readonly now: number
}

export interface PreparingPlan {
  readonly ask: readonly string[]
  /** They have it, have failed, or are no longer selected. */
  readonly release: readonly string[]
  /** When to plan again if nothing changes earlier. */
  readonly recheckAt: number | undefined
}

/**
 * So many nodes are asked first, and later twice as many as have the image: a node that has it can give it to others, and a
 * recipe that cannot be built fails on few nodes.
 */
const FIRST = 4
/** However many nodes have it, so many make it at the same time at most. Each of them is a write of two objects. */
const MOST = 100
/** A node that has not begun after this time does not keep others from beginning, in milliseconds. */
const BEGIN_MS = 120_000

/** Which of the selected nodes make the image next. */
export function planPreparing(facts: PreparingFacts): PreparingPlan {
  const { nodes, room, now } = facts
  const release = nodes.filter(node => node.isAsked && isDone(node, facts)).map(({ name }) => name)
  const ready = nodes.filter(({ entry }) => entry?.state === 'Present').length
  const failed = nodes.filter(node => !node.fetchOnly && failedAt(node, facts) > now - AGAIN_MS).length
  const isDoomed = ready === 0 && failed >= FIRST
  const working = nodes.filter(node => node.isAsked && !isDone(node, facts) && isWorking(node, now))
  const places = Math.min(Math.max(FIRST, 2 * ready), MOST) - working.length
  const waiting = nodes.filter(node => isWaiting(node))
  const due = isDoomed ? [] : waiting.filter(node => mayBeAsked(node, facts))
  const next = due.toSorted(inOrder).slice(0, Math.max(0, Math.min(places, room)))
  return { ask: next.map(({ name }) => name), release, recheckAt: nextChange(facts, { waiting, working }) }
}

/** Builders first: the others would wait for them. */
function inOrder(a: PreparedNode, b: PreparedNode): number {
  return Number(a.fetchOnly) - Number(b.fetchOnly) || (a.name < b.name ? -1 : 1)
}

function isDone(node: PreparedNode, facts: PreparingFacts): boolean {
  const { selected, entry, askedAt = 0 } = node
  return !selected || entry?.state === 'Present' || failedAt(node, facts) > askedAt
}

/**
 * Minus infinity if it has not failed. Times of entries are in whole seconds, so a failure of the second in which the
 * NixBuild was made may be of an earlier one.
 */
function failedAt({ entry }: PreparedNode, { bornAt }: PreparingFacts): number {
  const isOwn = entry?.state === 'Failed' && entry.at > Math.floor(bornAt / 1000)
  return isOwn ? entry.at * 1000 : Number.NEGATIVE_INFINITY
}

function isWorking({ able, entry, askedAt = 0 }: PreparedNode, now: number): boolean {
  return able && ((entry !== undefined && isActive(entry)) || now < askedAt + BEGIN_MS)
}

/** It lacks the image, and does nothing about it. */
function isWaiting({ selected, able, entry, isAsked }: PreparedNode): boolean {
  return selected && able && !isAsked && entry?.state !== 'Present' && !(entry !== undefined && isActive(entry))
}

function mayBeAsked(node: PreparedNode, facts: PreparingFacts): boolean {
  return facts.now >= againAt(node, facts)
}

function againAt(node: PreparedNode, facts: PreparingFacts): number {
  return Math.max(node.askedAt ?? Number.NEGATIVE_INFINITY, failedAt(node, facts)) + AGAIN_MS
}

function nextChange(
  facts: PreparingFacts,
  { waiting, working }: { readonly waiting: readonly PreparedNode[]; readonly working: readonly PreparedNode[] },
): number | undefined {
  const begins = working.map(({ askedAt = 0 }) => askedAt + BEGIN_MS)
  const times = [...begins, ...waiting.map(node => againAt(node, facts))].filter(time => time > facts.now)
  return times.reduce<number | undefined>((first, time) => soonest(first, time), undefined)
}
