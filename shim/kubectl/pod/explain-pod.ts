import { IMAGE_BUILT_CONDITION } from '../../../kube/resources/names.ts'
import type { NixBuild } from '../../../kube/resources/nixbuild.ts'
import type { Pod } from '../../../kube/resources/pod.ts'
import { cleanText } from '../../../lib/text/text.ts'
import { describeSpan } from '../../../lib/text/units.ts'
import { isRecipeAnnotation } from '../../../recipes/annotations.ts'
import { nameBuilds, type PodBuilds } from './pod-builds.ts'
import type { PodEvent } from './pod-event.ts'

export interface PodFacts extends PodBuilds {
  readonly pod: Pod
  /** What the NixNode of the pod's node says about them; undefined if there is none, or the user may not read it. */
  readonly onNode: string | undefined
  /** Of the pod, the newest last; undefined: the user may not read them. */
  readonly events: readonly PodEvent[] | undefined
  readonly now: Date
}

interface Explanation {
  /** After `pod/NAME`. */
  readonly state: string
  readonly wayOut: string
}

/** One paragraph: what the pod waits for, and the way out. */
export function explainPod(facts: PodFacts): string {
  const { name } = facts.pod.metadata
  const { state, wayOut } = explain(facts)
  return oneParagraph(`pod/${name} ${state}. ${wayOut}`)
}

/** Errors quote logs, which have lines and dots of their own. */
function oneParagraph(text: string): string {
  const lines = cleanText(text)
    .split('\n')
    .map(line => line.trim())
  return lines
    .filter(line => line !== '')
    .join(' | ')
    .replace(/([.!?…])\.(?= |$)/g, '$1')
}

function explain(facts: PodFacts): Explanation {
  const { pod } = facts
  const { phase } = pod.status
  if (phase === 'Succeeded' || phase === 'Failed')
    return { state: `has ended (${phase})`, wayOut: 'It waits for nothing.' }
  if (pod.metadata.deletionTimestamp !== undefined)
    return { state: 'is being deleted', wayOut: 'Its pulls are cancelled; it waits for its containers to stop.' }
  if (pod.spec.nodeName === undefined) return explainUnscheduled(facts)
  const found = explainFailed(facts) ?? explainBuilding(facts) ?? explainWaiting(facts)
  return found === undefined ? explainRunning(facts) : withDoubt(found, facts)
}

function withDoubt({ state, wayOut }: Explanation, { doubt }: PodFacts): Explanation {
  return { state, wayOut: doubt === undefined ? wayOut : `${wayOut} This may be about another system: ${doubt.text}.` }
}

function explainUnscheduled({ pod }: PodFacts): Explanation {
  const why = pod.status.conditions.find(({ type }) => type === 'PodScheduled')?.message
  const state = `waits for a node${why ? `: ${why}` : ''}`
  return { state, wayOut: 'Builds begin once the scheduler has chosen one; give it a node that fits.' }
}

function explainFailed(facts: PodFacts): Explanation | undefined {
  const condition = conditionOf(facts.pod)
  const failed = facts.builds.find(({ status }) => status.status === 'Failed')
  if (condition?.reason === 'Failed')
    return { state: `cannot start: ${condition.message}`, wayOut: afterFailure(facts, failed) }
  if (condition !== undefined || failed === undefined || areImagesThere(facts)) return undefined
  const why = messageOf(failed, 'Success') ?? 'the build failed'
  const where = failed.status.buildNode === undefined ? '' : ` on ${failed.status.buildNode}`
  return {
    state: `cannot start: the build of ${failed.spec.imageTag} failed${where}: ${why}`,
    wayOut: afterFailure(facts, failed),
  }
}

function afterFailure({ pod }: PodFacts, failed: NixBuild | undefined): string {
  const { name } = pod.metadata
  if (failed === undefined)
    return 'Correct the annotations or the policy that the message names; the next pod uses them.'
  return `kubectl nixbuild logs pod/${name} shows the log. Correct the flake, or delete the NixBuild ${failed.metadata.name} to have it tried again; the kubelet repeats the pull by itself, at most every 5 minutes, and a new pod does so immediately.`
}

function explainBuilding(facts: PodFacts): Explanation | undefined {
  const { pod, builds, onNode, now } = facts
  const condition = conditionOf(pod)
  const working = builds.find(({ status: { status } }) => status === 'Building' || status === 'Importing')
  const isWorking = condition?.reason === 'Building' || condition?.reason === 'Importing'
  if (areImagesThere(facts) || (condition !== undefined && !isWorking) || (!isWorking && working === undefined))
    return undefined
  const { startTime, progress, buildNode } = working?.status ?? {}
  const doing = working?.status.status === 'Importing' ? 'is being loaded' : 'is being built'
  const what =
    condition?.message ?? `${working?.spec.imageTag} ${doing}${buildNode === undefined ? '' : ` on ${buildNode}`}`
  const since = startTime === undefined ? '' : `, for ${describeSpan(now.getTime() - Date.parse(startTime))}`
  const last = onNode ?? progress
  return {
    state: `waits for its image: ${what}${last === undefined ? '' : ` (${last}${since})`}`,
    wayOut: `It starts by itself afterwards; kubectl nixbuild logs -f pod/${pod.metadata.name} shows the log.`,
  }
}

function explainWaiting(facts: PodFacts): Explanation | undefined {
  const { pod, builds } = facts
  const condition = conditionOf(pod)
  const pending = builds.find(({ status: { status } }) => status === undefined || status === 'Pending')
  const waiting = waitingContainer(pod)
  if (areImagesThere(facts)) return undefined
  if (pending !== undefined || condition?.reason === 'Pending') {
    const complete = pending?.status.conditions.find(({ type }) => type === 'Complete')
    const said = condition?.message ?? `${pending?.spec.imageTag}: the build has not started`
    const more = complete?.message === undefined || said.includes(complete.message) ? '' : `; ${complete.message}`
    return { state: `waits for its image: ${said}${more}`, wayOut: afterPending(complete?.reason, pending, facts) }
  }
  const hasRecipe = Object.keys(pod.metadata.annotations).some(isRecipeAnnotation)
  if (builds.length === 0 && hasRecipe && condition === undefined && waiting?.isPull !== false)
    return {
      state: `waits for its image, and no NixBuild is for it${lastWarning(facts)}`,
      wayOut: facts.others.length > 0 ? withoutBuild(facts) : NO_CONTROLLER,
    }
  if (waiting === undefined) return undefined
  const state = `waits for its container ${waiting.name}: ${waiting.reason}${waiting.message ? `: ${waiting.message}` : lastWarning(facts)}`
  if (!waiting.isPull) return { state, wayOut: OTHERS }
  return { state, wayOut: builds.length === 0 ? withoutBuild(facts) : `${BUILT} ${OTHERS}` }
}

function withoutBuild({ pod, others }: PodFacts): string {
  if (others.length === 0) return NO_RECIPE
  return `${pod.spec.nodeName} has another system than the NixBuilds of its images, ${nameBuilds(others)}: run the pod on a node of that system, or add a NixBuild for this one.`
}

function afterPending(reason: string | undefined, pending: NixBuild | undefined, { pod }: PodFacts): string {
  const node = pod.spec.nodeName ?? ''
  switch (reason) {
    case undefined:
      return NO_CONTROLLER
    case 'NoNode':
      return `Give the cluster a node with a shim that fits ${pending?.spec.system ?? 'the system'}, or correct spec.nodeSelector of the NixBuild.`
    case 'TooMany':
      return 'It is assigned once others of the namespace have ended (--max-assigned of the controller).'
    case 'Retrying':
      return 'The node tries again by itself.'
    case 'Queued':
      return `The node builds it when others have ended (nix.maxBuilds); enbi-shim status on ${node} shows the queue.`
    default:
      return `It begins when the kubelet of ${node} pulls the image. If it does not, look at the kubelet and the shim there: enbi-shim doctor on ${node}.`
  }
}

const NO_CONTROLLER =
  'If this stays so, check that the controller runs: kubectl --namespace=enbi-system get pods. The node builds without it, too, if it has a shim: enbi-shim doctor there says so.'
const NO_RECIPE =
  'No annotation and no NixBuild makes this image, so a registry must have it: add the annotations of a recipe, or correct the name and the pull secret.'
const BUILT = 'The image is built.'
const OTHERS = 'kubectl describe pod shows what the kubelet says.'

function explainRunning({ pod }: PodFacts): Explanation {
  if (pod.status.phase === 'Running') return { state: 'runs', wayOut: 'It waits for no image.' }
  const condition = conditionOf(pod)
  const images = condition?.reason === 'Built' ? 'has its images' : 'waits for its containers to start'
  return { state: `${images} on ${pod.spec.nodeName}`, wayOut: `What it waits for is not an image: ${OTHERS}` }
}

function conditionOf({ status }: Pod) {
  return status.conditions.find(({ type }) => type === IMAGE_BUILT_CONDITION)
}

function messageOf({ status }: NixBuild, type: string): string | undefined {
  return status.conditions.find(each => each.type === type)?.message
}

/** Whether the kubelet has the image of every container. */
function areImagesThere({ pod }: PodFacts): boolean {
  const all = [...pod.status.initContainerStatuses, ...pod.status.containerStatuses]
  return (
    conditionOf(pod)?.reason === 'Built' || (all.length > 0 && all.every(({ state }) => state.waiting === undefined))
  )
}

/** The kubelet's reasons around pulls, and while nothing is known. */
const PULLING = ['ErrImagePull', 'ImagePullBackOff', 'ImageInspectError', 'ErrImageNeverPull', 'InvalidImageName']

function waitingContainer({ status }: Pod) {
  const all = [...status.initContainerStatuses, ...status.containerStatuses].flatMap(({ name, state: { waiting } }) =>
    waiting === undefined ? [] : [{ name, ...waiting, isPull: PULLING.includes(waiting.reason) }],
  )
  return all.find(({ isPull }) => isPull) ?? all.find(({ reason }) => reason !== 'PodInitializing') ?? all[0]
}

function lastWarning({ events = [] }: PodFacts): string {
  const last = events.findLast(({ type }) => type === 'Warning')
  return last === undefined ? '' : ` (${last.reason}: ${last.message})`
}
