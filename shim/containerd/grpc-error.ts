/** gRPC status codes that are told apart here. */
export const GRPC_STATUS = {
  OK: 0,
  UNKNOWN: 2,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  UNAVAILABLE: 14,
} as const

/** A call that did not end with OK. `method` is its path without the slash in front. */
export class GrpcError extends Error {
  readonly status: number
  readonly details: string
  readonly method: string

  constructor(method: string, status: number, details: string, options?: ErrorOptions) {
    super(`${method}: ${details || `gRPC status ${status}`}`, options)
    this.name = 'GrpcError'
    this.method = method
    this.status = status
    this.details = details
  }
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof GrpcError && error.status === status
}

/** Whether nobody could serve the call just now. CRI's part of containerd starts after the rest and says so in words. */
export function isAway(error: unknown): boolean {
  return hasStatus(error, GRPC_STATUS.UNAVAILABLE) || (error instanceof GrpcError && NOT_YET.test(error.details))
}

const NOT_YET = /server is not initialized yet/

/** The answer of a call, or undefined when containerd has no such thing. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (hasStatus(error, GRPC_STATUS.NOT_FOUND)) return undefined
    throw error
  }
}
