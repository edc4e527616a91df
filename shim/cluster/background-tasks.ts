import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { heartbeat } from '../../kube/heartbeat.ts'
import { SYSTEM_NAMESPACE, shimFieldManager, shimLeaseName } from '../../kube/resources/names.ts'
import { ALL_NAMESPACES, type NixNodeStatus } from '../../kube/resources/nixnode.ts'
import { within } from '../../lib/async/bounded-wait.ts'
import type { PullImage } from '../pull/contract.ts'
import { unreadableBuild } from './builds/describe-build.ts'
import type { NodeBuilds } from './builds/node-builds.ts'
import { followOwnNixNode, type OwnNixNode } from './nixnode/follow-own-nixnode.ts'
import { createNixNodeWriter, type NixNodeWriter, type NixNodeWriterOptions } from './nixnode/nixnode-writer.ts'

export interface BackgroundTasksOptions {
  readonly kube: Kube
  readonly node: string
  readonly leaseMs: number
  readonly facts: Pick<NixNodeStatus, 'shimVersion' | 'system' | 'layerMode'>
  readonly store?: NixNodeWriterOptions['store']
  readonly builds: NodeBuilds
  /** Resolves when the builds of an earlier shim are known. */
  readonly restored: Promise<void>
  /** Cancels the requests of these pods, by UID, now and until the next call. */
  readonly letGo: (pods: readonly string[]) => void
  readonly pullImage: PullImage
  /** Ends all tasks. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** The work that a shim does for its cluster even if nothing is pulled. */
export interface BackgroundTasks {
  /** Whether a user may have made a NixBuild in the namespace. */
  mayHaveNixBuild(namespace: string): boolean
  /** Writes what is still pending, for at most that time. */
  close(limitMs: number): Promise<void>
}

/** Longest time that the first write waits for containerd to say which images are present. */
const RESTORE_MS = 10_000
/** Longest time that the orders of the controller wait for the first write: the API server may refuse it for long. */
const FIRST_WRITE_MS = 10_000

/** Starts all tasks. None ends before `signal` aborts. */
export function startBackgroundTasks(options: BackgroundTasksOptions): BackgroundTasks {
  const { kube, node, leaseMs: durationMs, signal, logger } = options
  const beat = heartbeat({
    ...{ kube, durationMs, signal, logger },
    lease: { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) },
    identity: node,
    fieldManager: shimFieldManager(node),
  })
  let writer: NixNodeWriter | undefined
  let known: OwnNixNode | undefined

  async function report(): Promise<void> {
    await within(RESTORE_MS, options.restored)
    writer = createNixNodeWriter(options)
    await within(FIRST_WRITE_MS, writer.begun)
    if (!signal.aborted)
      await followOwnNixNode({
        ...options,
        writer,
        withdrawn: options.builds.withdraw,
        unreadable(assigned, error) {
          const { shimVersion } = options.facts
          const build = unreadableBuild(assigned, { node, shimVersion, error, at: Date.now() })
          if (build) options.builds.fail(build)
        },
        onNixNode(own) {
          known = own
        },
      })
  }

  for (const task of [beat, report()])
    task.catch(err => logger.error({ err }, 'a background task of the cluster failed'))
  return {
    mayHaveNixBuild(namespace) {
      const namespaces = known?.spec.namespaces
      return namespaces === undefined || namespaces.includes(ALL_NAMESPACES) || namespaces.includes(namespace)
    },
    close: async limitMs => writer?.close(limitMs),
  }
}
