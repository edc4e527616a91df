import type { Http2Session, ServerSessionOptions } from 'node:http2'

/** Bytes that a peer may send ahead on one stream, and on all streams of a connection together. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024
/** grpc-go accepts header lists of up to 16 MiB; this is far above what calls have. */
const HEADER_LIST_BYTES = 1024 * 1024
/** Calls that a peer may cancel in a burst and per second. grpc-go has no such limit, and only root and the kubelet reach the socket. */
const CANCELLED_CALLS = 1_000_000

/** Limits of both sides of the proxy: wide enough to refuse nothing that a direct connection lets through. */
export const SESSION_OPTIONS = {
  settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: HEADER_LIST_BYTES, enablePush: false },
  maxSendHeaderBlockLength: HEADER_LIST_BYTES,
  maxHeaderListPairs: 4096,
  // In MB. Beyond it node refuses new streams; back-pressure is what bounds the memory here.
  maxSessionMemory: 1024,
  streamResetBurst: CANCELLED_CALLS,
  streamResetRate: CANCELLED_CALLS,
  // gRPC metadata may repeat names that HTTP allows once.
  strictSingleValueFields: false,
} satisfies ServerSessionOptions

/** The window of the whole connection cannot be set before it exists. */
export function widenConnectionWindow(session: Http2Session): void {
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
}
