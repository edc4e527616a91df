import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { createEventRecorder } from '../../kube/event-recorder.ts'
import { SHIM } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { NodeStore } from '../../kube/resources/nixnode.ts'
import { within } from '../../lib/async/bounded-wait.ts'
import { lazy } from '../../lib/async/lazy.ts'
import { backOff } from '../../lib/async/retry.ts'
import { messageOf, RetryableError } from '../../lib/errors.ts'
import { isAllowed, type Policy } from '../../recipes/policy/policy.ts'
import type { ClusterSide, ImageRecords, PodWarning, PullImage } from '../pull/contract.ts'
import type { PodIdentity } from '../wire/cri.ts'
import type { BackgroundTasks } from './background-tasks.ts'
import { createNodeBuilds } from './builds/node-builds.ts'
import { createPresentImages } from './builds/present-images.ts'
import { createClusterReporter } from './cluster-reporter.ts'
import { createClusterLookup } from './lookup/cluster-lookup.ts'
import { createKnownImages } from './lookup/known-images.ts'
import { listRecipes } from './lookup/nixbuilds-of-image.ts'
import type { PodEvent } from './pod-event-writer.ts'

export interface ClusterOptions {
  /** By default, the kubeconfig of the pod that the shim runs in. */
  readonly kubeconfig?: string | undefined
  readonly nodeName: string
  readonly leaseMs: number
  /** Longest time that a pull waits for a look-up. */
  readonly lookupMs: number
  readonly stateDir: string
  readonly images: () => Promise<ImageRecords>
  readonly shimVersion: string
  readonly policy: Policy
  /** Nix system of this node. */
  readonly system: string
  readonly layerMode: string
  /** How other nodes get what this node has; undefined if it shares nothing. */
  readonly store?: (() => Promise<NodeStore>) | undefined
  readonly logger: Logger
}

/** The shim's connection to an API server, which may be unreachable at any time. */
export interface Cluster extends ClusterSide {
  /** Throws ClusterAway if there is no usable kubeconfig yet. */
  kube(): Promise<Kube>
  /** Renews the Lease, writes the NixNode, and does what it says. */
  start(pullImage: PullImage): Promise<void>
  /** Writes what is still pending, for at most that time. */
  close(limitMs: number): Promise<void>
}

export function createCluster(options: ClusterOptions): Cluster {
  const { nodeName: node, images, stateDir, shimVersion, system, layerMode } = options
  const logger = options.logger.child({ stage: 'report' })
  const stop = new AbortController()
  const { signal } = stop
  const kube = lazy(() => loadKube(options.kubeconfig))
  const events = createEventRecorder({ kube: createLazyKube(kube), component: SHIM, host: node, signal, logger })
  const builds = createNodeBuilds({ node, now: Date.now, onPresent: () => presentImages.save() })
  const presentImages = createPresentImages({
    ...{ stateDir, builds, images, signal, logger },
    activeKeys: () => reporter.activeKeys(),
  })
  const recordEvent = (pod: PodIdentity, event: PodEvent | PodWarning) =>
    events.record({ type: 'Warning', ...event, about: { apiVersion: 'v1', kind: 'Pod', ...pod } })
  const reporter = createClusterReporter({
    ...{ builds, node },
    imageSize: image => sizeOf(images, image),
    recordEvent,
    imagesChanged: presentImages.check,
  })
  let tasks: BackgroundTasks | undefined
  const lookup = createClusterLookup({
    nixBuildsOf: async query => listRecipes(await kube(), query),
    mayHave: namespace => tasks?.mayHaveNixBuild(namespace) ?? true,
    nixBuildNamed: async ({ signal, ...name }) => (await kube()).get(nixBuilds, name, { signal }),
    mayBuild: (namespace, recipe) => isAllowed(options.policy, namespace, recipe),
    known: createKnownImages({ file: join(stateDir, 'known-images.json'), logger }),
    ...{ system, timeoutMs: options.lookupMs, logger },
  })
  return {
    kube,
    reporter,
    findRecipe: lookup.find,
    isOutdated: lookup.isOutdated,
    findLock: lookup.findLock,
    warnPod: recordEvent,
    async start(pullImage) {
      const restored = presentImages.restore()
      const loaded = await waitForKube(kube, signal, logger)
      if (!loaded) return
      const { startBackgroundTasks } = await import('./background-tasks.ts')
      const facts = { shimVersion, system, layerMode }
      const { leaseMs, store } = options
      const { letGo } = reporter
      tasks = startBackgroundTasks({
        ...{ kube: loaded, node, leaseMs, facts, store, builds, restored, letGo, pullImage, signal, logger },
      })
    },
    async close(limitMs) {
      const endsAt = performance.now() + limitMs
      await tasks?.close(limitMs)
      await within(endsAt - performance.now(), Promise.all([events.flushed(), presentImages.saved()]))
      stop.abort()
      const closed = kube().then(loaded => loaded.close())
      await within(endsAt - performance.now(), closed)
    },
  }
}

async function loadKube(kubeconfig: string | undefined): Promise<Kube> {
  try {
    const { createKube } = await import('../../kube/client/client.ts')
    return createKube({ kubeconfig, component: SHIM })
  } catch (cause) {
    throw new RetryableError('ClusterAway', messageOf(cause), { cause })
  }
}

/** Each call loads the client if necessary. */
function createLazyKube(kube: () => Promise<Kube>): Pick<Kube, 'create' | 'patch'> {
  return {
    create: async (...args) => (await kube()).create(...args),
    patch: async (...args) => (await kube()).patch(...args),
  }
}

/** A kubeconfig may be written after the shim has started. */
async function waitForKube(kube: () => Promise<Kube>, signal: AbortSignal, logger: Logger): Promise<Kube | undefined> {
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      return await kube()
    } catch (err) {
      if (failures === 1) logger.error({ err: messageOf(err) }, 'cannot connect to the cluster yet')
      await backOff(failures, signal)
    }
  }
  return undefined
}

const SIZE_LIMIT_MS = 2000

async function sizeOf(images: () => Promise<ImageRecords>, image: string): Promise<number | undefined> {
  const ask = async () => (await (await images()).present(image))?.size
  return within(SIZE_LIMIT_MS, ask())
}
