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

/** A watch that ends sooner counts as a failure. Otherwise the mirror would retry without a pause. */
const SHORTEST_WATCH_MS = 1_000

export interface MirrorOptions<T, P> {
  readonly kube: Pick<Kube, 'watch'>
  readonly kind: Kind<T>
  readonly selection?: Selection
  /** The part of an object to keep; undefined omits the object. */
  readonly project: (object: T) => P | undefined
  /**
   * Called for every key whose value was added, changed or removed, also while everything is read. It must only enqueue.
   */
  readonly onChange?: (key: string) => void
  /** The only way to end the mirror. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** A local copy of the API server's objects of one kind, kept up to date by a watch. */
export interface Mirror<P> {
  /** The key is an `objectKey`. */
  get(key: string): P | undefined
  /** Replaces what is kept of an object until it changes. */
  put(key: string, value: P | undefined): void
  entries(): Iterable<readonly [string, P]>
  values(): Iterable<P>
  readonly size: number
  readonly isSynced: boolean
  /** Resolves when everything has been read, or when the mirror has ended. */
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
  const { kube, kind, selection = {}, signal } = options
  const logger = options.logger.child({ kind: kind.plural })
  const store = createMirrorStore<P>(key => notify(key))
  const firstSync = Promise.withResolvers<void>()
  let isSynced = false
  let failures = 0

  /** Where to continue. Undefined: everything must be read. */
  let version: string | undefined

  async function run(): Promise<void> {
    let lastError = ''
    while (!signal.aborted) {
      try {
        await follow(() => {
          failures = 0
          lastError = ''
        })
      } catch (error) {
        if (signal.aborted) break
        failures += 1
        const isExpired = error instanceof ShimError && error.code === 'ClusterExpired'
        if (isExpired) version = undefined
        const message = messageOf(error)
        if (message !== lastError)
          logger[isExpired ? 'info' : 'warn']({ err: message }, 'cannot follow changes, will retry')
        lastError = message
      }
      if (failures > 0) await backOff(failures, signal)
    }
  }

  async function follow(onProgress: () => void): Promise<void> {
    const begin = performance.now()
    /** What has been read so far, until everything has been. */
    let read = version === undefined ? new Set<string>() : undefined
    for await (const event of kube.watch(kind, { ...selection, resourceVersion: version, signal, onTooLarge })) {
      if (event.type === 'BOOKMARK') {
        if (read && !event.endsInitial) continue
        version = event.resourceVersion
        if (read) finishReading(read)
        read = undefined
      } else {
        const { key, version: newer, value } = parseObject(event.object)
        store.set(key, event.type === 'DELETED' ? undefined : value)
        read?.add(key)
        if (!read) version = newer
      }
      onProgress()
    }
    failures = performance.now() - begin < SHORTEST_WATCH_MS ? failures + 1 : 0
  }

  function onTooLarge(problem: string): void {
    logger.warn({ problem }, 'left out an object that is too large')
  }

  function finishReading(keys: ReadonlySet<string>): void {
    store.retain(keys)
    isSynced = true
    firstSync.resolve()
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
    put: store.set,
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
