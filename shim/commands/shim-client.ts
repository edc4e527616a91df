import { accessSync, constants } from 'node:fs'
import { hasCode } from '../../lib/error-code.ts'
import { isErrorCode, RetryableError, reviveError, ShimError } from '../../lib/errors.ts'
import { createCalls } from '../../lib/grpc/calls.ts'
import { createConnection } from '../../lib/grpc/connection.ts'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import type { Method } from '../../lib/grpc/methods.ts'
import { STATUS } from '../../lib/grpc/status.ts'

/** The connection of a command to a running shim. */
export interface ShimClient {
  /**
   * The answers to one request. Throws ShimAway, PullFailed with the shim's message and its error as `cause`, or Cancelled once
   * the signal has aborted; if the signal's reason is a ShimError, that one.
   */
  call<Request extends object, Response>(method: Method<Request, Response>, request: Request): AsyncGenerator<Response>
  /** Ends every call. */
  close(): void
}

/** `socket`: path of the shim's socket. */
export function createShimClient(socket: string, signal: AbortSignal): ShimClient {
  const connection = createConnection(socket)
  // A command does not wait for a shim that is not running.
  const calls = createCalls(connection, { signal, connectMs: 0 })
  return {
    async *call(method, request) {
      try {
        const call = await calls.open(method)
        await call.send([method.encode(request)])
        call.end()
        yield* call.answers
      } catch (error) {
        throw signal.aborted ? abortError(signal) : callError(error, socket)
      }
    },
    close: () => connection.close(),
  }
}

function abortError({ reason }: AbortSignal): ShimError {
  return reason instanceof ShimError ? reason : new RetryableError('Cancelled', 'interrupted', { cause: reason })
}

function callError(cause: unknown, socket: string): RetryableError {
  if (!(cause instanceof GrpcError)) return new RetryableError('Internal', String(cause), { cause })
  switch (cause.status) {
    case STATUS.UNAVAILABLE:
      return new RetryableError('ShimAway', describeAway(socket), { cause })
    case STATUS.UNIMPLEMENTED:
      return new RetryableError(
        'ShimAway',
        `the server on ${socket} is not enbi-shim, or an older version that does not know this command`,
        { cause },
      )
    default:
      return new RetryableError('PullFailed', cause.details, { cause: shimError(cause) })
  }
}

function describeAway(socket: string): string {
  try {
    accessSync(socket, constants.R_OK | constants.W_OK)
  } catch (error) {
    if (hasCode(error, 'EACCES')) return `this user may not connect to ${socket}: run the command as root`
  }
  return `no shim answers on ${socket}: is enbi-shim running there? (--socket)`
}

function shimError(error: GrpcError): Error {
  return isErrorCode(error.errorCode) ? reviveError(error.errorCode, error.details) : error
}
