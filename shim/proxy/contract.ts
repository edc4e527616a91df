import type { IncomingHttpHeaders } from 'node:http2'

/** A unary call whose request has been read whole. */
export interface UnaryCall {
  /** `/runtime.v1.ImageService/PullImage` */
  readonly path: string
  /** The protobuf message, without gRPC's five-byte frame header. */
  readonly request: Buffer
  readonly headers: IncomingHttpHeaders
  /** Aborted when the caller cancels or hangs up, when its deadline passes and when the proxy is closed by force. */
  readonly signal: AbortSignal
}

/**
 * What becomes of an intercepted call: passed to containerd as it came, or answered with a protobuf message.
 * A throw answers with the error's message: a ShimError as gRPC code UNKNOWN – the only one that the kubelet shows bare.
 */
export type UnaryOutcome =
  | {
      readonly kind: 'forward'
      /** Called once when the call has ended, with the gRPC status code that the caller was told. */
      readonly afterwards?: (grpcStatus: number) => void
    }
  | { readonly kind: 'reply'; readonly message: Buffer }

export type UnaryInterceptor = (call: UnaryCall) => Promise<UnaryOutcome>

/** Is told of each call as it comes; what it returns, of the gRPC status code that it ends with. */
export type CallObserver = (path: string) => (grpcStatus: number) => void

/** Serves a server-streaming method of the shim's own; each item is one protobuf message. */
export type StreamHandler = (call: UnaryCall) => AsyncIterable<Buffer>
