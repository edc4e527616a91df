import { STATUS } from './status.ts'

/** A call that did not end with OK. `method` is its path without the slash in front. */
export class GrpcError extends Error {
  readonly status: number
  readonly details: string
  readonly method: string
  /** The code in ERROR_CODE_HEADER, if the answer has one. */
  readonly errorCode: string | undefined

  constructor(
    method: string,
    status: number,
    details: string,
    options?: ErrorOptions & { readonly errorCode?: string },
  ) {
    super(`${method}: ${details || `gRPC status ${status}`}`, options)
    this.name = 'GrpcError'
    this.method = method
    this.status = status
    this.details = details
    this.errorCode = options?.errorCode
  }
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof GrpcError && error.status === status
}

/** Details of a call whose connection was lost before it was answered: containerd may have carried it out, or not. */
export const BROKEN_OFF = 'the connection broke off'

/** Whether nobody could serve the call just now. CRI's part of containerd starts after the rest and says so in words. */
export function isAway(error: unknown): boolean {
  return hasStatus(error, STATUS.UNAVAILABLE) || (error instanceof GrpcError && NOT_YET.test(error.details))
}

const NOT_YET = /server is not initialized yet/

/** The answer of a call, or undefined when containerd has no such thing. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (hasStatus(error, STATUS.NOT_FOUND)) return undefined
    throw error
  }
}
