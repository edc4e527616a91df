/** One kind of API object, as far as the project reads it. */
export interface Kind<T> {
  /** Such as `v1` or `enbi.hrzn.ee/v1alpha1`. */
  readonly apiVersion: string
  /** Such as `Pod`. */
  readonly kind: string
  /** As in the path: `pods`. */
  readonly plural: string
  readonly namespaced: boolean
  /** Reads what the API server sent into the project's own, smaller type. Throws when it is something else. */
  readonly parse: (object: unknown) => T
}

export interface ObjectName {
  /** Missing for objects that have none. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Longest time until the whole answer is there (of a list: each page), in milliseconds; 10,000 unless told otherwise. */
  readonly timeoutMs?: number
}

export interface ListOptions extends CallOptions {
  /** Objects of each request. */
  readonly pageSize?: number
  /** Of all that is read, in characters: what is longer is refused, with an AnswerTooLarge as its cause. */
  readonly maxLength?: number
}

export interface Selection {
  /** All namespaces unless told otherwise. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface PatchOptions extends CallOptions {
  /** As the Content-Type: JSON merge patch, strategic merge patch (built-in kinds only), server-side apply. */
  readonly type: 'merge' | 'strategic' | 'apply'
  readonly subresource?: 'status'
  /** Who owns the fields that are written; server-side apply always takes what others own. */
  readonly fieldManager: string
}

export interface WatchCall extends Selection {
  readonly resourceVersion: string
  readonly signal: AbortSignal
  /** The server ends the watch after this time, in milliseconds; after 30 to 60 minutes unless told otherwise. */
  readonly longestMs?: number
  /** After so long without a word the connection is given up as dead, in milliseconds; 150,000 unless told otherwise. */
  readonly silenceMs?: number
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: unknown }
  /** Nothing but a newer resourceVersion. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

/**
 * An API server. Errors: ClusterAway (retryable: no answer in time, connection lost, 401, 429 and 5xx), ClusterConflict (retryable: the
 * object is another than the writer believed – a stale resourceVersion, or a name that is taken), ClusterExpired (retryable: a
 * resourceVersion that is too old to list or watch from, 410), ClusterRefused (final: everything else; names verb, object and the server's
 * reason), Cancelled (the caller's signal). When the API server did answer, `cause` is an ApiStatus.
 *
 * Bodies need no apiVersion, kind, name and namespace: those of `create`, `replace` and server-side apply are completed.
 */
export interface Kube {
  /** undefined when there is none (404). */
  get<T>(kind: Kind<T>, name: ObjectName, options?: CallOptions): Promise<T | undefined>
  /** Every object of the selection, page by page, each page parsed and dropped; returns the resourceVersion to watch from. */
  list<T>(kind: Kind<T>, selection: Selection, onItem: (item: T) => void, options?: ListOptions): Promise<string>
  create<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options?: CallOptions): Promise<T>
  /** undefined when there is none (404), but server-side apply creates it. A `metadata.resourceVersion` in the body is a precondition. */
  patch<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options: PatchOptions): Promise<T | undefined>
  /** PUT with the resourceVersion in the body as precondition. */
  replace<T>(kind: Kind<T>, object: ObjectName & { readonly body: object }, options?: CallOptions): Promise<T>
  /** No error when there is none. With a uid only that very object, with a resourceVersion only as it was then. */
  delete(
    kind: Kind<unknown>,
    name: ObjectName & { readonly uid?: string; readonly resourceVersion?: string },
    options?: CallOptions,
  ): Promise<void>
  /** Events until the server ends the watch (then it just returns) or `signal` aborts; throws ClusterExpired, ClusterAway, ClusterRefused. */
  watch(kind: Kind<unknown>, call: WatchCall): AsyncGenerator<WatchEvent>
  /** Closes every connection. */
  close(): Promise<void>
}
