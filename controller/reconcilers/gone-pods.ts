import type { Kube, ObjectName } from '../../kube/client/contract.ts'
import { namespaceOf, objectKey } from '../../kube/mirror.ts'
import { NIXNODE_LIMITS } from '../../kube/resources/nixnode.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { isActive, type NixNodeView, type NodeEntry, type WaitingPod } from '../views/nixnode.ts'
import { pods as podKind } from '../views/pod.ts'

/** When to ask again for a pod that is not watched, in milliseconds. The pause doubles each time. */
const AGAIN_MS = 5_000
const LONGEST_AGAIN_MS = 60_000
/** Pods of one node that are asked for within AGAIN_MS. */
const MAX_ASKED = 20

export interface GonePodsOptions {
  readonly pods: Pick<ClusterState['pods'], 'get' | 'onNode'>
  readonly kube: Pick<Kube, 'get'>
}

/** Which of the pods that a node works for have been deleted. */
export interface GonePods {
  of(nixNode: NixNodeView): Promise<{ readonly uids: readonly string[]; readonly recheckAt: number | undefined }>
  forget(node: string): void
}

/** What the API server has said about a pod that is not watched. */
interface Answer {
  readonly isGone: boolean
  readonly at: number
  readonly againAt: number
}

interface Asked {
  /** By UID. */
  readonly answers: ReadonlyMap<string, Answer>
  /** When the API server was asked, within AGAIN_MS. */
  readonly times: readonly number[]
}

const NOTHING_ASKED: Asked = { answers: new Map(), times: [] }

export function createGonePods({ pods, kube }: GonePodsOptions): GonePods {
  const askedByNode = new Map<string, Asked>()

  /** Undefined: the watch does not tell. */
  function isGoneByWatch({ namespace, name, uid }: WaitingPod): boolean | undefined {
    const pod = pods.get(objectKey({ namespace, name }))
    return pod?.uid === uid ? !pod.living : undefined
  }

  /** Pods that have waited longest for an answer come first. */
  async function ask(node: string, { answers, times }: Asked, unwatched: readonly WaitingPod[]): Promise<Asked> {
    const now = Date.now()
    const recent = times.filter(time => now < time + AGAIN_MS)
    const due = unwatched
      .filter(({ uid }) => (answers.get(uid)?.againAt ?? 0) <= now)
      .sort((a, b) => (answers.get(a.uid)?.at ?? 0) - (answers.get(b.uid)?.at ?? 0))
      .slice(0, MAX_ASKED - recent.length)
    const next = new Map<string, Answer>()
    for (const { uid } of unwatched) {
      const answer = answers.get(uid)
      if (answer) next.set(uid, answer)
    }
    for (const pod of due) next.set(pod.uid, answerAfter(next.get(pod.uid), await isGone(node, pod)))
    return { answers: next, times: [...recent, ...due.map(() => now)] }
  }

  /** The watch may be behind, and tells nothing of a pod that has started without annotations. */
  async function isGone(node: string, { namespace, name, uid }: WaitingPod): Promise<boolean> {
    const object: ObjectName = { namespace, name }
    const pod = await kube.get(podKind, object)
    // The kubelet runs a static pod under a UID of its own, whether the API server has its mirror pod or not.
    if (pod === undefined) return !name.endsWith(`-${node}`)
    if (pod.staticUid !== undefined) return pod.uid === uid && !pod.living
    return pod.uid !== uid || !pod.living
  }

  /** A node names only some of the pods of a build. UIDs that it does not know do no harm. */
  function goneUnnamed(node: string, entries: readonly NodeEntry[]): readonly string[] {
    const full = entries.filter(entry => isActive(entry) && entry.details.pods.length >= NIXNODE_LIMITS.pods)
    if (full.length === 0) return []
    const namespaces = new Set(full.map(({ id }) => namespaceOf(id)))
    return [...pods.onNode(node)].flatMap(key => {
      const pod = namespaces.has(namespaceOf(key)) ? pods.get(key) : undefined
      return pod && !pod.living ? [pod.uid] : []
    })
  }

  return {
    async of({ name: node, entries }) {
      const waiting = new Map(entries.flatMap(({ details }) => details.pods.map(pod => [pod.uid, pod] as const)))
      const byWatch = Map.groupBy(waiting.values(), isGoneByWatch)
      const unwatched = byWatch.get(undefined) ?? []
      const asked = await ask(node, askedByNode.get(node) ?? NOTHING_ASKED, unwatched)
      if (unwatched.length > 0) askedByNode.set(node, asked)
      else askedByNode.delete(node)
      const gone = [...(byWatch.get(true) ?? []), ...unwatched.filter(({ uid }) => asked.answers.get(uid)?.isGone)]
      const uids = new Set([...gone.map(({ uid }) => uid), ...goneUnnamed(node, entries)])
      return { uids: [...uids], recheckAt: nextTime(asked, unwatched) }
    },
    forget: node => askedByNode.delete(node),
  }
}

function answerAfter(last: Answer | undefined, isGone: boolean): Answer {
  const at = Date.now()
  const pauseMs = last ? Math.min((last.againAt - last.at) * 2, LONGEST_AGAIN_MS) : AGAIN_MS
  return { isGone, at, againAt: isGone ? Number.POSITIVE_INFINITY : at + pauseMs }
}

function nextTime({ answers, times }: Asked, unwatched: readonly WaitingPod[]): number | undefined {
  const earliest = Math.min(...unwatched.map(({ uid }) => answers.get(uid)?.againAt ?? 0))
  if (earliest === Number.POSITIVE_INFINITY) return undefined
  return times.length < MAX_ASKED ? earliest : Math.max(earliest, Math.min(...times) + AGAIN_MS)
}
