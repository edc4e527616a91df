import type { IncomingHttpHeaders } from 'node:http2'
import { STATUS } from './status.ts'

export interface GrpcErrorOptions extends ErrorOptions {
  readonly headers?: IncomingHttpHeaders
}

/** A call that did not end with OK. `method` is its path without the leading slash. */
export class GrpcError extends Error {
  readonly status: number
  readonly details: string
  readonly method: string
  /** What the server sent with the status. */
  readonly headers: IncomingHttpHeaders

  constructor(method: string, status: number, details: string, { headers = {}, ...options }: GrpcErrorOptions = {}) {
    super(`${method}: ${details || `gRPC status ${status}`}`, options)
    this.name = 'GrpcError'
    this.method = method
    this.status = status
    this.details = details
    this.headers = headers
  }
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof GrpcError && error.status === status
}

/** Details of a call whose connection was lost before the answer: the server may or may not have carried it out. */
export const BROKEN_OFF = 'the connection broke off'

/** The answer of a call, or undefined if the server has no such thing. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (hasStatus(error, STATUS.NOT_FOUND)) return undefined
    throw error
  }
}
