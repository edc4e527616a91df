import type { Readable } from 'node:stream'

/** A kind of API object, reduced to the fields that the project reads. */
export interface Kind<T> {
  /** Such as `v1` or `enbi.hrzn.ee/v1alpha1`. */
  readonly apiVersion: string
  /** Such as `Pod`. */
  readonly kind: string
  /** As in the path, such as `pods`. */
  readonly plural: string
  readonly namespaced: boolean
  /** Parses an object of the API server into the project's smaller type. Throws if it is something else. */
  readonly parse: (object: unknown) => T
}

export interface ObjectName {
  /** Undefined for cluster-scoped objects. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Time limit for the whole answer, or for each page of a list, in milliseconds. By default 10,000. */
  readonly timeoutMs?: number
}

/** How to continue when one object is too large. */
export interface LargeObjects {
  /** In bytes, by default 16 MiB. */
  readonly maxObject?: number
  /** Called with a text for people for each object that is larger and left out. Without it, such a list fails. */
  readonly onTooLarge?: (problem: string) => void
}

export interface ListOptions extends CallOptions, LargeObjects {
  /** Objects per request. */
  readonly pageSize?: number
  /** Limit for the whole list, in characters. A longer list fails with an AnswerTooLarge as the cause. */
  readonly maxLength?: number
}

export interface Selection {
  /** By default all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface PatchOptions extends CallOptions {
  /** The Content-Type: JSON merge patch, strategic merge patch (built-in kinds only) or server-side apply. */
  readonly type: 'merge' | 'strategic' | 'apply'
  readonly subresource?: 'status'
  /** Owner of the written fields. Server-side apply always takes over fields of other owners. */
  readonly fieldManager: string
}

export interface WatchCall extends Selection, LargeObjects {
  /** By default, every object comes first, as ADDED, then a BOOKMARK that says so. */
  readonly resourceVersion?: string | undefined
  readonly signal: AbortSignal
  /** The server ends the watch after this time, in milliseconds. By default after 30 to 60 minutes. */
  readonly longestMs?: number
  /** A connection without data for this long is considered dead, in milliseconds. By default 150,000. */
  readonly silenceMs?: number
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: unknown }
  /** Carries only a newer resourceVersion. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly endsInitial: boolean }

/**
 * An API server. Errors:
 * - ClusterAway (retryable): no answer in time, connection lost, 401, 5xx, and 429 that lasts longer than the call may.
 * - ClusterConflict (retryable): a stale resourceVersion, or a name that is taken.
 * - ClusterExpired (retryable): a resourceVersion that is too old to list or watch from (410).
 * - ClusterRefused (final): everything else. It names verb, object and the server's reason.
 * - Cancelled: the caller's signal aborted.
 *
 * If the API server answered, `cause` is an ApiStatus.
 *
 * Bodies need no apiVersion, kind, name and namespace: `create`, `replace` and server-side apply add them.
 */
export interface Kube {
  /** Undefined if the object does not exist (404). */
  get<T>(kind: Kind<T>, name: ObjectName, options?: CallOptions): Promise<T | undefined>
  /** Lists the selection page by page, and keeps no page. Returns the resourceVersion to watch from. */
  list<T>(kind: Kind<T>, selection: Selection, onItem: (item: T) => void, options?: ListOptions): Promise<string>
  create<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options?: CallOptions): Promise<T>
  /**
   * Undefined if the object does not exist (404); server-side apply creates it. A `metadata.resourceVersion` in the
   * body is a precondition.
   */
  patch<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options: PatchOptions): Promise<T | undefined>
  /** PUT with the resourceVersion in the body as precondition. */
  replace<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options?: CallOptions): Promise<T>
  /** Succeeds if the object does not exist. `uid` and `resourceVersion` are preconditions. */
  delete(
    kind: Kind<unknown>,
    name: ObjectName & { readonly uid?: string; readonly resourceVersion?: string },
    options?: CallOptions,
  ): Promise<void>
  /**
   * Yields events until the server ends the watch or `signal` aborts. Throws ClusterExpired, ClusterAway or
   * ClusterRefused.
   */
  watch(kind: Kind<unknown>, call: WatchCall): AsyncGenerator<WatchEvent>
  close(): Promise<void>
}

/** Logs of nodes, for the commands of users. */
export interface NodeLogs {
  /**
   * Part of a file below `/var/log` of a node, from its kubelet. Needs the right to get `nodes/proxy`. Undefined if there
   * is no such file. The caller must read or destroy the body.
   */
  nodeLog(call: NodeLogCall): Promise<NodeLogPart | undefined>
}

export interface NodeLogCall {
  readonly node: string
  /** Below `/var/log`. */
  readonly path: readonly string[]
  /** In bytes. */
  readonly from: number
  readonly signal: AbortSignal
}

export type NodeLogPart =
  | { readonly body: Readable }
  /** It ends before `from`, or there. In bytes. */
  | { readonly body: undefined; readonly size: number }
