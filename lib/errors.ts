import { cleanText, copyStart } from './text/text.ts'

/**
 * Every failure that a user can meet, by stage. `final`: the same input fails again. `retryable`: the cause lies
 * outside the input and may pass.
 */
export const ERROR_CODES = {
  // config and start
  ConfigInvalid: 'final',
  StateDirNotWritable: 'retryable',
  StateDirUnsafe: 'retryable',
  ListenAddressInUse: 'final',
  // recipes
  RecipeIncomplete: 'final',
  RecipeInvalid: 'final',
  RecipeConflict: 'final',
  // policy
  PolicyRefused: 'final',
  ImageNotOurs: 'retryable',
  ImageTooLarge: 'final',
  QueueFull: 'retryable',
  // build
  BuildUserUnknown: 'final',
  NixMissing: 'retryable',
  NixDaemonAway: 'retryable',
  FetchFailed: 'retryable',
  FlakeNotFound: 'final',
  StorePathMissing: 'retryable',
  AttributeMissing: 'final',
  SystemUnsupported: 'final',
  EvaluationFailed: 'final',
  BuilderFailed: 'final',
  BuildTimedOut: 'final',
  BuildInterrupted: 'retryable',
  DiskFull: 'retryable',
  CopyFailed: 'retryable',
  NothingBuilt: 'retryable',
  // import
  NotAnImage: 'final',
  ArchiveInvalid: 'final',
  ArchitectureMismatch: 'final',
  StreamFailed: 'final',
  ImportInterrupted: 'retryable',
  // containerd
  ContainerdAway: 'retryable',
  ContainerdFailed: 'retryable',
  ImageNotVisible: 'retryable',
  // the cluster
  ClusterAway: 'retryable',
  ClusterConflict: 'retryable',
  ClusterExpired: 'retryable',
  ClusterRefused: 'final',
  // the commands
  ShimAway: 'retryable',
  PullFailed: 'retryable',
  // the call
  Cancelled: 'retryable',
  StillBuilding: 'retryable',
  ShuttingDown: 'retryable',
  Internal: 'retryable',
} as const satisfies Record<string, 'final' | 'retryable'>

export type ErrorCode = keyof typeof ERROR_CODES

/** Whether a value, for example from another process, is one of these codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value)
}

type CodesOf<Kind> = { [Code in ErrorCode]: (typeof ERROR_CODES)[Code] extends Kind ? Code : never }[ErrorCode]

/** In characters: long enough for an excerpt of a log. */
const MAX_MESSAGE_LENGTH = 16_384

/**
 * A failure with one of these codes. `message` is written for readers of `kubectl describe pod`. It is cut and
 * cleaned of control characters, as it may quote foreign text.
 */
export abstract class ShimError extends Error {
  abstract readonly retryable: boolean
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(copyStart(cleanText(message), MAX_MESSAGE_LENGTH), options)
    this.code = code
    this.name = code
  }
}

/** The same input will fail again, so the failure may be remembered. */
export class FinalError extends ShimError {
  readonly retryable = false
  constructor(code: CodesOf<'final'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** Something outside the input failed, so another try may succeed. */
export class RetryableError extends ShimError {
  readonly retryable = true
  constructor(code: CodesOf<'retryable'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** Ends what still runs when the daemon stops. */
export function shuttingDown(): RetryableError {
  return new RetryableError('ShuttingDown', 'the shim is shutting down')
}

/** Turns anything thrown into a ShimError. Foreign errors become `Internal`, with the original as `cause`. */
export function toShimError(error: unknown): ShimError {
  if (error instanceof ShimError) return error
  return new RetryableError('Internal', `internal error: ${messageOf(error)}`, { cause: error })
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether a request ended without an answer: it was withdrawn, or must be made again. What it waited for may continue. */
export function isUnanswered({ code }: ShimError): boolean {
  return code === 'Cancelled' || code === 'StillBuilding'
}

/** Whether containerd could not be reached. */
export function isContainerdAway(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'ContainerdAway'
}

/** Restores a ShimError that came from another thread or process. */
export function reviveError(code: ErrorCode, message: string, stack?: string): ShimError {
  const error = isFinal(code)
    ? new FinalError(code, message)
    : new RetryableError(code as CodesOf<'retryable'>, message)
  if (stack !== undefined) error.stack = stack
  return error
}

function isFinal(code: ErrorCode): code is CodesOf<'final'> {
  return ERROR_CODES[code] === 'final'
}
