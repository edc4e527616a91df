import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import type { Pod } from '../../kube/resources/pod.ts'
import { FinalError, ShimError } from '../../lib/errors.ts'
import { pushBounded } from '../../lib/text/text.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { explainPod } from './explain-pod.ts'
import { buildsOfPod, type PodEvent, podEvents } from './pod.ts'
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
    const builds = buildsOfPod(pod, await listBuilds(user, signal))
    const [onNode, events] = await Promise.all([
      allowed(progressOnNode(pod, builds, user, signal)),
      allowed(eventsOf(pod, user, signal)),
    ])
    return explainPod({ pod, builds, onNode, events, now: new Date() })
  })
}

/** Undefined if the user has no right to it: the rest says enough. */
async function allowed<Result>(asked: Promise<Result>): Promise<Result | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ShimError && error.code === 'ClusterRefused') return undefined
    throw error
  }
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
