import { setTimeout as delay } from 'node:timers/promises'
import type { Kube } from '../../kube/client/contract.ts'
import { objectKey } from '../../kube/mirror.ts'
import { pods } from '../../kube/resources/pod.ts'
import { type PodName, podManifest } from '../../test/cluster/pods.ts'
import type { PodRecipe } from '../../test/node/recipe-pull.ts'
import { range } from '../fixtures/crowd.ts'
import type { Wait } from './late.ts'
import type { Recipes } from './recipes.ts'
import { retried, until } from './until.ts'
import type { SeenPod } from './watch.ts'

/** Between the first pods: all at the same time would measure how fast the kubelet starts pods. */
const STAGGER_MS = 1_000
/** One in so many pods is deleted while it waits for its image. */
const PODS_PER_DELETED = 10
/** Half of what a builder takes. */
const DELETED_AFTER_MS = 1_000

export interface ChurnOptions {
  readonly kube: Kube
  readonly namespace: string
  readonly node: string
  readonly recipes: Recipes
  readonly seen: { get(key: string): SeenPod | undefined }
  readonly pods: number
  /** Each pod lives for a time between these. */
  readonly livesMs: readonly [shortest: number, longest: number]
  readonly over: AbortSignal
}

export interface Churn {
  readonly waits: readonly Wait[]
  /** Names of the images of the pods that exist. */
  wanted(): ReadonlySet<string>
  /** Waits until all pods run, and creates no more until the result is disposed of. */
  pause(): Promise<Disposable>
  /** Resolves when the run is over and all pods are gone. Rejects when a pod does not run. */
  readonly ended: Promise<void>
}

/** Keeps a number of pods, each of which is replaced by another one after some time. */
export function startChurn(options: ChurnOptions): Churn {
  const { kube, namespace, node, recipes, seen, over } = options
  const [shortest, longest] = options.livesMs
  const waits: Wait[] = []
  const images = new Map<string, string>()
  let created = 0
  let starting = 0
  let isPaused = false

  async function slot(n: number): Promise<void> {
    await pause(n * STAGGER_MS)
    while (!over.aborted) {
      await until(
        () => !isPaused || over.aborted,
        () => 'the pause does not end',
      )
      created += 1
      const pod = { namespace, name: `pod-${created}` }
      if (created % PODS_PER_DELETED === 0) {
        await create(pod)
        await until(
          () => seen.get(objectKey(pod)) !== undefined,
          () => `${pod.name} does not come`,
        )
        await pause(DELETED_AFTER_MS)
        await remove(pod)
        continue
      }
      await start(pod)
      await pause(shortest + Math.random() * (longest - shortest))
      await end(pod)
    }
  }

  async function create(pod: PodName): Promise<PodRecipe> {
    const recipe = recipes.any()
    images.set(pod.name, recipe.image)
    const body = podManifest({ ...pod, node, image: recipe.image, recipe, restartPolicy: 'Always' })
    await retried(() => kube.create(pods, { ...pod, body }))
    return recipe
  }

  async function start(pod: PodName): Promise<void> {
    const look = () => seen.get(objectKey(pod))
    starting += 1
    const recipe = await create(pod)
    await until(
      () => look()?.runningAt !== undefined || look()?.phase === 'Failed',
      () => `${pod.name} does not run: ${JSON.stringify(look())}`,
    )
    starting -= 1
    const { createdAt, runningAt, imageId } = look() ?? {}
    if (createdAt === undefined || runningAt === undefined || imageId === undefined)
      throw new Error(`${pod.name} has failed: ${JSON.stringify(look())}`)
    waits.push({ pod: pod.name, recipe: recipe.flakeUrl, imageId, createdAt, runningAt })
  }

  async function end(pod: PodName): Promise<void> {
    const last = seen.get(objectKey(pod))
    if (last?.runningAt === undefined || last.phase !== 'Running' || last.restarts > 0)
      throw new Error(`${pod.name} did not keep running: ${JSON.stringify(last)}`)
    await remove(pod)
  }

  async function remove(pod: PodName): Promise<void> {
    await retried(() => kube.delete(pods, pod))
    await until(
      () => seen.get(objectKey(pod)) === undefined,
      () => `${pod.name} does not go`,
    )
    images.delete(pod.name)
  }

  const pause = (ms: number) => delay(ms, undefined, { signal: over }).catch(() => {})
  return {
    waits,
    wanted: () => new Set(images.values()),
    async pause() {
      isPaused = true
      await until(
        () => starting === 0,
        () => `${starting} pods do not run`,
      )
      return {
        [Symbol.dispose]: () => {
          isPaused = false
        },
      }
    },
    ended: Promise.all(range(options.pods).map(slot)).then(() => {}),
  }
}
