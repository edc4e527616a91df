import type { IncomingHttpHeaders } from 'node:http2'

/** A unary call whose request has been read whole. */
export interface UnaryCall {
  /** `/runtime.v1.ImageService/PullImage` */
  readonly path: string
  /** The protobuf message, without gRPC's five-byte frame header. */
  readonly request: Buffer
  readonly headers: IncomingHttpHeaders
  /** Aborted when the caller cancels or hangs up, its deadline passes, or the grace time of a closing proxy is over. */
  readonly signal: AbortSignal
}

/**
 * An intercepted call is forwarded to containerd unchanged, or answered with a protobuf message. If an interceptor throws, the
 * caller gets the error's message with gRPC code UNKNOWN: only for that code the kubelet shows the message alone.
 */
export type UnaryOutcome =
  | {
      readonly kind: 'forward'
      /**
       * Called once when the answer is complete, with its gRPC status code. The caller gets the end of the answer when the promise is
       * settled, which must not reject, or when the time for that is over.
       */
      readonly afterwards?: (grpcStatus: number) => Promise<void> | void
    }
  | { readonly kind: 'reply'; readonly message: Buffer }

export type UnaryInterceptor = (call: UnaryCall) => Promise<UnaryOutcome>

/** Called with the path of each call. The returned function is called with the gRPC status code when the call has ended. */
export type CallObserver = (path: string) => (grpcStatus: number) => void

/** Serves a server-streaming method of the shim's own; each item is one protobuf message. */
export type StreamHandler = (call: UnaryCall) => AsyncIterable<Buffer>
