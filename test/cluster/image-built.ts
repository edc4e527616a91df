import * as v from 'valibot'
import { type Condition, conditionSchema } from '../../kube/resources/condition.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import type { Cluster } from './cluster.ts'
import type { PodName } from './pods.ts'

const Pod = v.object({ status: v.object({ conditions: v.optional(v.array(conditionSchema), []) }) })

/** The current condition ImageBuilt of the pod. */
export async function imageBuilt(cluster: Cluster, { namespace, name }: PodName): Promise<Condition | undefined> {
  const pod = v.parse(Pod, await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`))
  return pod.status.conditions.find(({ type }) => type === IMAGE_BUILT_CONDITION)
}
