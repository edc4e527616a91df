import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'

/** Unary methods that may run twice: they read, or end in the same state. */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  ...['v1', 'v1alpha2'].flatMap(version => [
    ...['ImageStatus', 'ListImages', 'ImageFsInfo', 'PullImage', 'RemoveImage'].map(
      method => `/runtime.${version}.ImageService/${method}`,
    ),
    ...['Version', 'Status', 'ListPodSandbox', 'PodSandboxStatus', 'ListContainers', 'ContainerStatus'].map(
      method => `/runtime.${version}.RuntimeService/${method}`,
    ),
  ]),
  '/grpc.health.v1.Health/Check',
  '/containerd.services.version.v1.Version/Version',
])

/** How long answers that say "unavailable" are asked again: long enough for a start, and then it is the answer. */
const UNAVAILABLE_LIMIT_MS = 5000

/** What came of one try to have containerd process a call. */
export type Failure =
  /** containerd cannot have seen the call: no connection, stream refused, beyond the last one of a GOAWAY. */
  | { readonly kind: 'unprocessed' }
  /** The connection was lost while the call was running. */
  | { readonly kind: 'cut' }
  /** The answer is nothing but a status. */
  | { readonly kind: 'status'; readonly status: GrpcStatus }

/** Whether a call, nothing of whose answer was passed on, is sent again; `refusedForMs` since the first mere status. */
export function shouldResend(path: string, failure: Failure, refusedForMs: number): boolean {
  switch (failure.kind) {
    case 'unprocessed':
      return true
    case 'cut':
      return IDEMPOTENT.has(path)
    case 'status':
      if (isStartingUp(failure.status)) return true
      return failure.status.code === STATUS.UNAVAILABLE && IDEMPOTENT.has(path) && refusedForMs < UNAVAILABLE_LIMIT_MS
  }
}

/** containerd serves its socket before the CRI plugin is ready, which refuses every call until it is. */
function isStartingUp({ code, message }: GrpcStatus): boolean {
  return (code === STATUS.UNKNOWN || code === STATUS.UNAVAILABLE) && message.includes('server is not initialized yet')
}
