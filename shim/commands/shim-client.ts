import { accessSync, constants } from 'node:fs'
import { hasCode } from '../../lib/error-code.ts'
import { isErrorCode, RetryableError, reviveError, ShimError } from '../../lib/errors.ts'
import { type Calls, createClient } from '../../lib/grpc/client.ts'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import { ERROR_CODE_HEADER, STATUS } from '../../lib/grpc/status.ts'

/**
 * The connection of a command to a running shim. Calls throw ShimAway, PullFailed with the shim's message and its error as
 * `cause`, or Cancelled once the signal has aborted; if the signal's reason is a ShimError, that one.
 */
export interface ShimClient extends Pick<Calls, 'unary' | 'serverStream'> {
  /** Ends every call. */
  close(): void
}

/** `socket`: path of the shim's socket. */
export function createShimClient(socket: string, signal: AbortSignal): ShimClient {
  // A command does not wait for a shim that is not running.
  const client = createClient(socket, { signal, connectTimeoutMs: 0 })
  const explain = (error: unknown) => (signal.aborted ? abortError(signal) : callError(error, socket))
  return {
    async unary(method, request) {
      try {
        return await client.unary(method, request, { timeoutMs: Infinity })
      } catch (error) {
        throw explain(error)
      }
    },
    async *serverStream(method, request) {
      try {
        yield* client.serverStream(method, request)
      } catch (error) {
        throw explain(error)
      }
    },
    close: () => client[Symbol.dispose](),
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

/** The shim sends the code of its error along with the message. */
function shimError(error: GrpcError): Error {
  const code = error.headers[ERROR_CODE_HEADER]
  return isErrorCode(code) ? reviveError(code, error.details) : error
}
