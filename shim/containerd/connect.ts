import { unlessAborted } from '../../lib/async/bounded-wait.ts'
import { shareAnswer } from '../../lib/async/lazy.ts'
import { createClient, type GrpcClient } from '../../lib/grpc/client.ts'
import { CRI_NAMESPACE } from './services/constants.ts'

export interface ContainerdAddress {
  /** Path of containerd's socket. */
  readonly address: string
  readonly namespace?: string
}

/** A client of containerd's own services, which have a namespace for each user. */
export function connectContainerd(
  { address, namespace = CRI_NAMESPACE }: ContainerdAddress,
  signal?: AbortSignal,
): GrpcClient {
  return createClient(address, { headers: { 'containerd-namespace': namespace }, signal })
}

/** A running containerd answers within milliseconds. */
const LIMIT_MS = 2000

/** Asks containerd, and fails after the limit. While an abandoned request still waits, further callers join it. */
export function askInTime<T>(ask: () => Promise<T>): () => Promise<T> {
  const answer = shareAnswer(ask)
  return () => unlessAborted(answer(), AbortSignal.timeout(LIMIT_MS), tooLate)
}

function tooLate(): Error {
  return new Error(`no answer within ${LIMIT_MS / 1000} s`)
}
