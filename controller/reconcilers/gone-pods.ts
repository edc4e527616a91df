import type { Kube, ObjectName } from '../../kube/client/contract.ts'
import { soonest } from '../plan/soonest.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { NixNodeView, WaitingPod } from '../views/nixnode.ts'
import { pods as podKind } from '../views/pod.ts'

/** When to ask again for a pod that is not watched, in milliseconds. */
const AGAIN_MS = 5_000
/** Pods of one node that are asked for at a time. */
const MAX_ASKED = 20

export interface GonePodsOptions {
  readonly pods: Pick<ClusterState['pods'], 'get'>
  readonly kube: Pick<Kube, 'get'>
}

/** Which of the pods that a node works for have been deleted. */
export interface GonePods {
  of(nixNode: NixNodeView): Promise<{ readonly uids: readonly string[]; readonly recheckAt: number | undefined }>
  forget(node: string): void
}

/** What the API server has said about a pod that is not watched, by UID. */
interface Answer {
  readonly isGone: boolean
  readonly at: number
}

export function createGonePods({ pods, kube }: GonePodsOptions): GonePods {
  const answers = new Map<string, Map<string, Answer>>()

  /** Undefined: the watch does not tell. */
  function isGoneByWatch({ namespace, name, uid }: WaitingPod): boolean | undefined {
    const pod = pods.get(`${namespace}/${name}`)
    return pod?.uid === uid ? !pod.living : undefined
  }

  function answerFor(node: string, { uid }: WaitingPod): Answer | undefined {
    const known = answers.get(node)?.get(uid)
    return known && (known.isGone || Date.now() < known.at + AGAIN_MS) ? known : undefined
  }

  /** The watch may be behind, and tells nothing of a pod that has started without annotations. */
  async function isGone(node: string, { namespace, name, uid }: WaitingPod): Promise<boolean> {
    const object: ObjectName = { namespace, name }
    const pod = await kube.get(podKind, object)
    // The kubelet runs a static pod whether the API server knows it or not, and under a UID of its own.
    if (pod === undefined) return !name.endsWith(`-${node}`)
    return pod.uid === uid || pod.staticUid === uid ? !pod.living : pod.staticUid === undefined
  }

  return {
    async of({ name: node, entries }) {
      const waiting = new Map(entries.flatMap(({ details }) => details.pods.map(pod => [pod.uid, pod] as const)))
      const uids: string[] = []
      const asked = new Map<string, Answer>()
      let left = MAX_ASKED
      for (const pod of waiting.values()) {
        const byWatch = isGoneByWatch(pod)
        if (byWatch) uids.push(pod.uid)
        if (byWatch !== undefined) continue
        const known = answerFor(node, pod)
        if (known === undefined && left === 0) continue
        if (known === undefined) left -= 1
        const answer = known ?? { isGone: await isGone(node, pod), at: Date.now() }
        asked.set(pod.uid, answer)
        if (answer.isGone) uids.push(pod.uid)
      }
      if (asked.size > 0) answers.set(node, asked)
      else answers.delete(node)
      const open = [...asked.values()].filter(answer => !answer.isGone)
      return { uids, recheckAt: soonest(...open.map(({ at }) => at + AGAIN_MS), left === 0 ? Date.now() : undefined) }
    },
    forget: node => answers.delete(node),
  }
}
