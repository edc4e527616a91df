import type { Logger } from 'pino'
import { pauseAfter } from '../../../kube/client/api-error.ts'
import type { Kube } from '../../../kube/client/contract.ts'
import { shimFieldManager } from '../../../kube/resources/names.ts'
import type { NixNodeStatus, NodeStore } from '../../../kube/resources/nixnode.ts'
import { within } from '../../../lib/async/bounded-wait.ts'
import { backOffMs } from '../../../lib/async/retry.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import type { NodeBuilds } from '../builds/node-builds.ts'
import { createAlarm } from './alarm.ts'
import { ownNixNodes } from './own-nixnode.ts'

/** Writes the status of this node's NixNode: everything at the start, and then when something changes. */
export interface NixNodeWriter {
  /** Resolves after the first write. */
  readonly begun: Promise<void>
  /**
   * The shim has read this generation of the spec. It is written with other news, after this time at the latest;
   * undefined: it waits for them.
   */
  observed(generation: number, afterMs?: number): void
  /** Writes everything, because the NixNode is gone or another one. */
  rewrite(): void
  /** Writes what is still pending, for at most that time, and stops. */
  close(limitMs: number): Promise<void>
}

export interface NixNodeWriterOptions {
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly node: string
  readonly facts: Pick<NixNodeStatus, 'shimVersion' | 'system' | 'layerMode'>
  /** How other nodes get what this node has; undefined if it shares nothing. */
  readonly store?: (() => Promise<NodeStore>) | undefined
  readonly builds: Pick<NodeBuilds, 'dueAt' | 'snapshot' | 'onChange'>
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Shortest time between two writes. */
const BETWEEN_WRITES_MS = 1000
/** Changes come in crowds: a build that ends moves all that are queued. To find what is due costs time for each. */
const CROWD_MS = 50
/** Longest pause while the API server is away. */
const LONGEST_PAUSE_MS = 10_000
/** Longest pause while it refuses: the kind NixNode or the rights may be missing until someone installs them. */
const LONGEST_REFUSED_MS = 60_000

export function createNixNodeWriter(options: NixNodeWriterOptions): NixNodeWriter {
  const { kube, node, facts, builds, signal, logger } = options
  const alarm = createAlarm(() => void writeIfDue(), Date.now)
  const begun = Promise.withResolvers<void>()
  const fieldManager = shimFieldManager(node)
  /** When a write is due even if no build has changed. */
  let ownDueAt: number | undefined = Date.now()
  let generation: number | undefined
  let earliest = 0
  let failures = 0
  let lastError = ''
  let writing: Promise<void> | undefined
  let crowd: NodeJS.Timeout | undefined
  let isOver = signal.aborted

  function dueAt(): number | undefined {
    const due = [ownDueAt, builds.dueAt()].filter(at => at !== undefined)
    return due.length > 0 ? Math.min(...due) : undefined
  }

  function schedule(): void {
    const due = isOver || writing ? undefined : dueAt()
    if (due !== undefined) alarm.set(Math.max(due, earliest))
  }

  function scheduleSoon(): void {
    if (crowd || isOver) return
    crowd = setTimeout(() => {
      crowd = undefined
      schedule()
    }, CROWD_MS)
    crowd.unref()
  }

  async function writeIfDue(): Promise<void> {
    const due = dueAt()
    if (!writing && !isOver && due !== undefined && Math.max(due, earliest) <= Date.now()) await write()
    schedule()
  }

  async function write(): Promise<void> {
    writing ??= attempt().finally(() => {
      writing = undefined
    })
    await writing
  }

  async function attempt(): Promise<void> {
    const ownDue = ownDueAt
    const snapshot = builds.snapshot()
    const at = Date.now()
    try {
      const store = describeStore(await options.store?.())
      await send({ ...facts, store, observedGeneration: generation, builds: [...snapshot.builds] })
      snapshot.written(at)
      if (ownDueAt === ownDue) ownDueAt = undefined
      earliest = at + BETWEEN_WRITES_MS
      succeeded()
    } catch (error) {
      failed(error)
    }
  }

  async function send(status: Omit<NixNodeStatus, 'store'> & { readonly store: object | null }): Promise<void> {
    const patch = () =>
      kube.patch(ownNixNodes, { name: node, body: { status } }, { type: 'merge', subresource: 'status', fieldManager })
    if (await patch()) return
    await kube.create(ownNixNodes, { name: node, body: { spec: {} } })
    if (!(await patch())) throw new RetryableError('ClusterConflict', `the NixNode ${node} was deleted right away`)
  }

  function succeeded(): void {
    if (failures > 0) logger.info('the NixNode of this node is written again')
    failures = 0
    lastError = ''
    begun.resolve()
  }

  function failed(error: unknown): void {
    failures += 1
    const message = messageOf(error)
    if (message !== lastError) logger.warn({ err: message }, 'cannot write the NixNode of this node, will retry')
    lastError = message
    const isRefused = error instanceof ShimError && error.code === 'ClusterRefused'
    const pauseMs = backOffMs(failures + 2, isRefused ? LONGEST_REFUSED_MS : LONGEST_PAUSE_MS)
    earliest = Date.now() + pauseAfter(error, pauseMs)
  }

  function requireWrite(at: number): void {
    ownDueAt = Math.min(ownDueAt ?? Number.POSITIVE_INFINITY, at)
    schedule()
  }

  builds.onChange(scheduleSoon)
  schedule()
  return {
    begun: begun.promise,
    observed(next, afterMs) {
      if (next === generation) return
      generation = next
      if (afterMs !== undefined) requireWrite(Date.now() + afterMs)
    },
    rewrite: () => requireWrite(Date.now()),
    async close(limitMs) {
      await within(
        limitMs,
        (writing ?? Promise.resolve()).then(() => (dueAt() === undefined ? undefined : write())),
      )
      isOver = true
      clearTimeout(crowd)
      alarm.clear()
    },
  }
}

/** A merge patch keeps what is missing: null takes back what an earlier shim has written. */
function describeStore(store: NodeStore | undefined): object | null {
  if (!store) return null
  const { address = null, publicKey = null, maxServed = null, fetchOnly = null } = store
  return { address, publicKey, maxServed, fetchOnly }
}
