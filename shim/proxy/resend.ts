import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'

/** Unary methods that may run twice: they only read, or the second run changes nothing. */
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

/** Longest time for which a call is sent again after UNAVAILABLE: enough for containerd to start. */
const UNAVAILABLE_LIMIT_MS = 5000

/** Why one try of a call failed. */
export type Failure =
  /** containerd cannot have seen the call: no connection, a refused stream, or a stream above the last one of a GOAWAY. */
  | { readonly kind: 'unprocessed' }
  /** The connection was lost while the call was running. */
  | { readonly kind: 'cut' }
  /** The answer has only a status. */
  | { readonly kind: 'status'; readonly status: GrpcStatus }

/** Whether a call is sent again, before any of its answer was passed on. `refusedForMs`: time since its first bare status. */
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

/** containerd serves its socket before the CRI plugin is ready; until then the plugin refuses every call. */
function isStartingUp({ code, message }: GrpcStatus): boolean {
  return (code === STATUS.UNKNOWN || code === STATUS.UNAVAILABLE) && message.includes('server is not initialized yet')
}
