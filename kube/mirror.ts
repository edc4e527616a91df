import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { backOff } from '../lib/async/retry.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import type { Kind, Kube, ObjectName, Selection } from './client/contract.ts'

/** What a mirror keeps. Tells of every key whose value is another than before. */
interface MirrorStore<P> {
  readonly values: ReadonlyMap<string, P>
  /** undefined: it is gone, or to be left out. */
  set(key: string, value: P | undefined): void
  /** Drops all others. */
  retain(keys: ReadonlySet<string>): void
}

const RELIST_EVERY_MS = 600_000
const LIST_TIMEOUT_MS = 60_000
/** A watch that ends sooner is a failure, or the mirror would ask without a pause. */
const SHORTEST_WATCH_MS = 1_000
/** So many failures in a row, and it is listed anew: the API server may have lost the resource version, or come from a backup. */
const FAILURES_UNTIL_RELIST = 5

export interface MirrorPlan<T, P> {
  readonly kube: Pick<Kube, 'list' | 'watch'>
  readonly kind: Kind<T>
  readonly selection?: Selection
  /** What is kept of an object; undefined leaves it out. */
  readonly project: (object: T) => P | undefined
  /** Told for every key whose value was added, is another, or is gone, also while the first list is read. Only enqueue here. */
  readonly onChange?: (key: string) => void
  /** Ends the mirror; nothing else does. */
  readonly signal: AbortSignal
  readonly logger: Logger
  /** About so often everything is listed anew, in milliseconds; 10 minutes unless told otherwise. */
  readonly relistEveryMs?: number
}

/** What the API server has of one kind, as of a moment ago. */
export interface Mirror<P> {
  /** By `objectKey`. */
  get(key: string): P | undefined
  entries(): Iterable<readonly [string, P]>
  values(): Iterable<P>
  readonly size: number
  readonly isSynced: boolean
  /** Resolves once everything has been listed for the first time, or the mirror has ended. */
  synced(): Promise<void>
  /** Resolves once the mirror has ended. */
  readonly ended: Promise<void>
}

/** `team/web`, or just the name of an object that has no namespace. */
export function objectKey({ namespace, name }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** Of an object that has one, by its key, or by what else begins with it. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}

export function createMirror<T, P>(plan: MirrorPlan<T, P>): Mirror<P> {
  const { kube, kind, selection = {}, signal, relistEveryMs = RELIST_EVERY_MS } = plan
  const logger = plan.logger.child({ kind: kind.plural })
  const store = createMirrorStore<P>(key => tell(key))
  const first = Promise.withResolvers<void>()
  const seenKind = { ...kind, parse: (object: unknown) => see(object) }
  let isSynced = false
  let failures = 0

  async function run(): Promise<void> {
    let version: string | undefined
    let relistAt = 0
    let told = ''
    while (!signal.aborted) {
      try {
        if (version === undefined || performance.now() >= relistAt) {
          version = await list()
          relistAt = performance.now() + relistEveryMs * (0.9 + Math.random() * 0.2)
          told = ''
        }
        await follow(version, relistAt - performance.now(), newer => {
          version = newer
          failures = 0
          told = ''
        })
      } catch (error) {
        if (signal.aborted) break
        failures += 1
        const isExpired = error instanceof ShimError && error.code === 'ClusterExpired'
        if (isExpired || failures % FAILURES_UNTIL_RELIST === 0) version = undefined
        const message = messageOf(error)
        if (message !== told) logger[isExpired ? 'info' : 'warn']({ err: message }, 'the mirror is behind')
        told = message
      }
      if (failures > 0) await backOff(failures, signal)
    }
  }

  async function list(): Promise<string> {
    const keys = new Set<string>()
    const version = await kube.list(
      seenKind,
      selection,
      ({ key, value }) => {
        keys.add(key)
        store.set(key, value)
      },
      { signal, timeoutMs: LIST_TIMEOUT_MS },
    )
    store.retain(keys)
    failures = 0
    isSynced = true
    first.resolve()
    return version
  }

  async function follow(
    resourceVersion: string,
    longestMs: number,
    onVersion: (version: string) => void,
  ): Promise<void> {
    const begin = performance.now()
    for await (const event of kube.watch(kind, { ...selection, resourceVersion, longestMs, signal })) {
      if (event.type === 'BOOKMARK') {
        onVersion(event.resourceVersion)
        continue
      }
      const { key, version, value } = see(event.object)
      store.set(key, event.type === 'DELETED' ? undefined : value)
      onVersion(version)
    }
    failures = performance.now() - begin < Math.min(SHORTEST_WATCH_MS, longestMs) ? failures + 1 : 0
  }

  function see(object: unknown): Seen<P> {
    const { metadata } = v.parse(seenSchema, object)
    const key = objectKey(metadata)
    try {
      return { key, version: metadata.resourceVersion, value: plan.project(kind.parse(object)) }
    } catch (error) {
      logger.warn({ err: messageOf(error), key }, 'cannot read an object')
      return { key, version: metadata.resourceVersion, value: undefined }
    }
  }

  function tell(key: string): void {
    try {
      plan.onChange?.(key)
    } catch (error) {
      logger.error({ err: error, key }, 'cannot tell of a change')
    }
  }

  const ended = run().finally(first.resolve)
  return {
    get: key => store.values.get(key),
    entries: () => store.values.entries(),
    values: () => store.values.values(),
    get size() {
      return store.values.size
    },
    get isSynced() {
      return isSynced
    },
    synced: () => first.promise,
    ended,
  }
}

interface Seen<P> {
  readonly key: string
  readonly version: string
  readonly value: P | undefined
}

const seenSchema = v.object({
  metadata: v.object({ namespace: v.optional(v.string()), name: v.string(), resourceVersion: v.string() }),
})

function createMirrorStore<P>(onChange: (key: string) => void): MirrorStore<P> {
  const values = new Map<string, P>()

  function set(key: string, value: P | undefined): void {
    const before = values.get(key)
    // Most of what is written to an API server, a kubelet's news of its node say, is nothing that the project looks at.
    if (isDeepStrictEqual(before, value)) return
    if (value === undefined) values.delete(key)
    else values.set(key, value)
    onChange(key)
  }

  return {
    values,
    set,
    retain(keys) {
      for (const key of [...values.keys()]) if (!keys.has(key)) set(key, undefined)
    },
  }
}
