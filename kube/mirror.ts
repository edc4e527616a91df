import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { backOff } from '../lib/async/retry.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import type { Kind, Kube, ObjectName, Selection } from './client/contract.ts'

/** The values of a mirror. Reports every key whose value has changed. */
interface MirrorStore<P> {
  readonly values: ReadonlyMap<string, P>
  /** Undefined removes the key. */
  set(key: string, value: P | undefined): void
  /** Removes all other keys. */
  retain(keys: ReadonlySet<string>): void
}

const RELIST_EVERY_MS = 600_000
const LIST_TIMEOUT_MS = 60_000
/** A watch that ends sooner counts as a failure. Otherwise the mirror would retry without a pause. */
const SHORTEST_WATCH_MS = 1_000
/**
 * After this many failures in a row the mirror lists again: the API server may have lost the resource version, or have
 * been restored from a backup.
 */
const FAILURES_UNTIL_RELIST = 5

export interface MirrorOptions<T, P> {
  readonly kube: Pick<Kube, 'list' | 'watch'>
  readonly kind: Kind<T>
  readonly selection?: Selection
  /** The part of an object to keep; undefined omits the object. */
  readonly project: (object: T) => P | undefined
  /**
   * Called for every key whose value was added, changed or removed, also during the first list. It must only enqueue.
   */
  readonly onChange?: (key: string) => void
  /** The only way to end the mirror. */
  readonly signal: AbortSignal
  readonly logger: Logger
  /** Approximate time between two full lists, in milliseconds. By default 10 minutes. */
  readonly relistEveryMs?: number
}

/** A local copy of the API server's objects of one kind, kept up to date by a watch. */
export interface Mirror<P> {
  /** The key is an `objectKey`. */
  get(key: string): P | undefined
  entries(): Iterable<readonly [string, P]>
  values(): Iterable<P>
  readonly size: number
  readonly isSynced: boolean
  /** Resolves after the first full list, or when the mirror has ended. */
  synced(): Promise<void>
  readonly ended: Promise<void>
}

/** `team/web`, or only the name of a cluster-scoped object. */
export function objectKey({ namespace, name }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** The namespace of a key, or of another text that begins with `<namespace>/`. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}

export function createMirror<T, P>(options: MirrorOptions<T, P>): Mirror<P> {
  const { kube, kind, selection = {}, signal, relistEveryMs = RELIST_EVERY_MS } = options
  const logger = options.logger.child({ kind: kind.plural })
  const store = createMirrorStore<P>(key => notify(key))
  const firstSync = Promise.withResolvers<void>()
  const parsedKind = { ...kind, parse: (object: unknown) => parseObject(object) }
  let isSynced = false
  let failures = 0

  async function run(): Promise<void> {
    let version: string | undefined
    let relistAt = 0
    let lastError = ''
    while (!signal.aborted) {
      try {
        if (version === undefined || performance.now() >= relistAt) {
          version = await list()
          relistAt = performance.now() + relistEveryMs * (0.9 + Math.random() * 0.2)
          lastError = ''
        }
        await follow(version, relistAt - performance.now(), newer => {
          version = newer
          failures = 0
          lastError = ''
        })
      } catch (error) {
        if (signal.aborted) break
        failures += 1
        const isExpired = error instanceof ShimError && error.code === 'ClusterExpired'
        if (isExpired || failures % FAILURES_UNTIL_RELIST === 0) version = undefined
        const message = messageOf(error)
        if (message !== lastError)
          logger[isExpired ? 'info' : 'warn']({ err: message }, 'cannot follow changes, will retry')
        lastError = message
      }
      if (failures > 0) await backOff(failures, signal)
    }
  }

  async function list(): Promise<string> {
    const keys = new Set<string>()
    const version = await kube.list(
      parsedKind,
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
    firstSync.resolve()
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
      const { key, version, value } = parseObject(event.object)
      store.set(key, event.type === 'DELETED' ? undefined : value)
      onVersion(version)
    }
    failures = performance.now() - begin < Math.min(SHORTEST_WATCH_MS, longestMs) ? failures + 1 : 0
  }

  function parseObject(object: unknown): ParsedObject<P> {
    const { metadata } = v.parse(objectSchema, object)
    const key = objectKey(metadata)
    try {
      return { key, version: metadata.resourceVersion, value: options.project(kind.parse(object)) }
    } catch (error) {
      logger.warn({ err: messageOf(error), key }, 'cannot read an object')
      return { key, version: metadata.resourceVersion, value: undefined }
    }
  }

  function notify(key: string): void {
    try {
      options.onChange?.(key)
    } catch (error) {
      logger.error({ err: error, key }, 'cannot process a change')
    }
  }

  const ended = run().finally(firstSync.resolve)
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
    synced: () => firstSync.promise,
    ended,
  }
}

interface ParsedObject<P> {
  readonly key: string
  readonly version: string
  readonly value: P | undefined
}

const objectSchema = v.object({
  metadata: v.object({ namespace: v.optional(v.string()), name: v.string(), resourceVersion: v.string() }),
})

function createMirrorStore<P>(onChange: (key: string) => void): MirrorStore<P> {
  const values = new Map<string, P>()

  function set(key: string, value: P | undefined): void {
    const before = values.get(key)
    // Most updates change only what `project` leaves out, such as the times in a node's status.
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
