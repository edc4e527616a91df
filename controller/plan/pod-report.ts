import { type Condition, transitionTime } from '../../kube/resources/condition.ts'
import type { EventContent } from '../../kube/resources/event.ts'
import { apiTime } from '../../kube/resources/metadata.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import type { PodView } from '../views/pod.ts'
import { conditionStatus, type ImageBuilt } from './image-built.ts'
import type { Problem } from './pod-requests.ts'

export type ConditionChange = { readonly set: ImageBuilt } | 'remove'

/** Strategic merge patch that changes only this condition of this pod. The kubelet's conditions stay. */
export function podPatch(pod: PodView, change: ConditionChange, now: number): object {
  return { metadata: { uid: pod.uid }, status: { conditions: [conditionPatch(pod, change, now)] } }
}

function conditionPatch(pod: PodView, change: ConditionChange, now: number): object {
  if (change === 'remove') return { $patch: 'delete', type: IMAGE_BUILT_CONDITION }
  const { reason, message } = change.set
  const status = conditionStatus(reason)
  const lastTransitionTime = transitionTime(pod.condition, status, apiTime(now))
  return { type: IMAGE_BUILT_CONDITION, status, reason, message, lastTransitionTime } satisfies Condition
}

/** The Event to record about the Pod. */
export function podEvent({ namespace, name, uid }: PodView, { reason, message }: Problem): EventContent {
  return { about: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }, type: 'Warning', reason, message }
}
