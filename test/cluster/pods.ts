import * as v from 'valibot'
import { type PodRecipe, recipeAnnotations } from '../node/recipe-pull.ts'
import { PATIENCE } from '../patience.ts'
import type { Cluster } from './cluster.ts'

export interface PodPlan {
  readonly namespace: string
  readonly name: string
  readonly image: string
  /** The node that the pod must run on, because shared clusters also have nodes of other tests. */
  readonly node: string
  /** Ties the image to a flake by annotations. */
  readonly recipe?: PodRecipe
  readonly annotations?: Readonly<Record<string, string>>
  /** By default the image's command. */
  readonly command?: readonly string[]
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
  /** By default Never. */
  readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never'
  /** By default 0, which kills the container immediately. */
  readonly terminationGracePeriodSeconds?: number
}

/** Keeps a pod running. The image must contain busybox. */
export const SLEEP = ['/bin/busybox', 'sleep', '86400']

/** The manifest of a pod with one container. */
export function podManifest(plan: PodPlan): object {
  const { namespace, name, image, node, recipe, command, imagePullPolicy } = plan
  const { restartPolicy = 'Never', terminationGracePeriodSeconds = 0 } = plan
  const annotations = { ...(recipe === undefined ? {} : recipeAnnotations(recipe)), ...plan.annotations }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, annotations },
    spec: {
      // Leaves the choice to the scheduler, which `nodeName` would bypass.
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

/** Rejects with the state of the pod if it takes too long. */
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

/** Rejects with the state of the pods of the namespace if it takes too long. */
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

/** The events about a pod. */
export async function podEvents(cluster: Cluster, { namespace, name }: PodName): Promise<PodEvent[]> {
  const about = new URLSearchParams({ fieldSelector: `involvedObject.kind=Pod,involvedObject.name=${name}` })
  return v.parse(EventList, await cluster.read(`/api/v1/namespaces/${namespace}/events?${about}`)).items
}
