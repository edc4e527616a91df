import type { Condition } from '../../kube/resources/condition.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { time } from '../../kube/resources/time.ts'
import type { PodView } from '../views/pod.ts'
import { type PodPlan, statusOf } from './plan-pod.ts'

/** Strategic merge patch of just this condition, of just this pod; the kubelet's own stay as they are. */
export function podPatch(pod: PodView, change: Exclude<PodPlan['condition'], 'keep'>, now: number): object {
  return { metadata: { uid: pod.uid }, status: { conditions: [conditionPatch(pod, change, now)] } }
}

function conditionPatch(pod: PodView, change: Exclude<PodPlan['condition'], 'keep'>, now: number): object {
  if (change === 'remove') return { $patch: 'delete', type: IMAGE_BUILT_CONDITION }
  const { reason, message } = change.set
  const status = statusOf(reason)
  const before = pod.condition?.status === status ? pod.condition.lastTransitionTime : undefined
  const lastTransitionTime = before ?? time(now)
  return { type: IMAGE_BUILT_CONDITION, status, reason, message, lastTransitionTime } satisfies Condition
}
