import * as v from 'valibot'
import { type PodRecipe, recipeAnnotations } from '../node/recipe-pull.ts'
import { PATIENCE } from '../patience.ts'
import type { Cluster } from './cluster.ts'

export interface PodPlan {
  readonly namespace: string
  readonly name: string
  readonly image: string
  /** The node that it must run on. On a shared cluster there are nodes of other tests. */
  readonly node: string
  /** Ties the image to a flake. */
  readonly recipe?: PodRecipe
  readonly annotations?: Readonly<Record<string, string>>
  /** The image's own unless given. */
  readonly command?: readonly string[]
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
  /** Never unless given. */
  readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never'
  /** It is not asked to end unless given. */
  readonly terminationGracePeriodSeconds?: number
}

/** A command for an image with busybox that keeps its pod running. */
export const SLEEP = ['/bin/busybox', 'sleep', '86400']

/** A pod with one container. */
export function podManifest(plan: PodPlan): object {
  const { namespace, name, image, node, recipe, command, imagePullPolicy } = plan
  const { restartPolicy = 'Never', terminationGracePeriodSeconds = 0 } = plan
  const annotations = { ...(recipe === undefined ? {} : recipeAnnotations(recipe)), ...plan.annotations }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, annotations },
    spec: {
      // By way of the scheduler; `nodeName` would leave it out.
      nodeSelector: { 'kubernetes.io/hostname': node },
      restartPolicy,
      terminationGracePeriodSeconds,
      automountServiceAccountToken: false,
      containers: [{ name: 'main', image, ...(command && { command }), ...(imagePullPolicy && { imagePullPolicy }) }],
    },
  }
}

export interface PodName {
  readonly namespace: string
  readonly name: string
}

/** Rejects with what is known of the pod when it takes too long. */
export async function waitForPhase(cluster: Cluster, pod: PodName, phase: 'Running' | 'Succeeded'): Promise<void> {
  const { namespace, name } = pod
  try {
    await cluster.kubectl([
      ...['wait', `pod/${name}`, `--namespace=${namespace}`],
      ...[`--for=jsonpath={.status.phase}=${phase}`, `--timeout=${PATIENCE}`],
    ])
  } catch (cause) {
    const description = await cluster.kubectl(['describe', 'pod', name, `--namespace=${namespace}`]).catch(String)
    throw new Error(`${name} is not ${phase}\n${description}`, { cause })
  }
}

/** Rejects with what is known of the pods in the namespace when it takes too long. */
export async function waitForRollout(cluster: Cluster, { namespace, name }: PodName): Promise<void> {
  const inNamespace = `--namespace=${namespace}`
  try {
    await cluster.kubectl(['rollout', 'status', `deployment/${name}`, inNamespace, `--timeout=${PATIENCE}`])
  } catch (cause) {
    const description = await cluster.kubectl(['describe', 'pods', inNamespace]).catch(String)
    const log = await cluster.kubectl(['logs', `deployment/${name}`, inNamespace, '--tail=20']).catch(String)
    throw new Error(`the pods of ${name} are not available\n${description}\n${log}`, { cause })
  }
}

const EventList = v.object({
  items: v.array(v.object({ type: v.string(), reason: v.string(), message: v.string() })),
})

export type PodEvent = v.InferOutput<typeof EventList>['items'][number]

/** What was recorded about a pod. */
export async function podEvents(cluster: Cluster, { namespace, name }: PodName): Promise<PodEvent[]> {
  const about = new URLSearchParams({ fieldSelector: `involvedObject.kind=Pod,involvedObject.name=${name}` })
  return v.parse(EventList, await cluster.read(`/api/v1/namespaces/${namespace}/events?${about}`)).items
}
