import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import type { Pod } from '../../kube/resources/pod.ts'
import { FinalError } from '../../lib/errors.ts'
import { pushBounded } from '../../lib/text/text.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { allowed } from './pod/allowed.ts'
import { explainPod } from './pod/explain-pod.ts'
import { buildsOfPod } from './pod/pod-builds.ts'
import { type PodEvent, podEvents } from './pod/pod-event.ts'
import { createSystemReader } from './pod/pod-system.ts'
import { getPod, listBuilds, parseTarget } from './target.ts'

export interface WhyArguments extends UserKubeArguments {
  readonly target: string
}

/** Says what a pod waits for, from what the user may read. Throws RecipeInvalid, PullFailed and the errors of a Kube. */
export async function why(args: WhyArguments, signal: AbortSignal): Promise<string> {
  const target = parseTarget(args.target)
  if (!('pod' in target)) throw new FinalError('RecipeInvalid', 'expected pod/NAME')
  return withUserKube(args, async user => {
    const pod = await getPod(target.pod, user, signal)
    const [all, system] = await Promise.all([listBuilds(user, signal), createSystemReader(user)(pod, signal)])
    const found = buildsOfPod(pod, all, system)
    const [onNode, events] = await Promise.all([
      allowed(progressOnNode(pod, found.builds, user, signal)),
      allowed(eventsOf(pod, user, signal)),
    ])
    return explainPod({ pod, ...found, onNode, events, now: new Date() })
  })
}

/** What the pod's own node says, which is newer than the NixBuild. */
async function progressOnNode(
  { metadata, spec: { nodeName } }: Pod,
  builds: readonly NixBuild[],
  { kube }: UserKube,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (nodeName === undefined) return undefined
  const keys = builds.flatMap(keyOf)
  const node = await kube.get(nixNodes, { name: nodeName }, { signal })
  const entry = node?.status.builds.find(
    ({ namespace, key, state }) =>
      namespace === metadata.namespace && keys.includes(key) && (state === 'Building' || state === 'Importing'),
  )
  return entry?.progress
}

function keyOf(build: NixBuild): string[] {
  try {
    return [recipeKey(recipeOf(build))]
  } catch {
    return []
  }
}

const MAX_EVENTS = 100

/** The newest last. */
async function eventsOf({ metadata }: Pod, { kube, namespace }: UserKube, signal: AbortSignal): Promise<PodEvent[]> {
  const found: PodEvent[] = []
  const fieldSelector = `involvedObject.kind=Pod,involvedObject.uid=${metadata.uid}`
  await kube.list(podEvents, { namespace, fieldSelector }, event => pushBounded(found, event, MAX_EVENTS), { signal })
  return found.sort((a, b) => timeOf(a) - timeOf(b))
}

function timeOf({ lastTimestamp, eventTime }: PodEvent): number {
  return Date.parse(lastTimestamp ?? eventTime ?? '') || 0
}
