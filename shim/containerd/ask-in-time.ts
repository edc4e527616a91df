import { unlessAborted } from '../../lib/async/bounded-wait.ts'
import { shareAnswer } from '../../lib/async/share-answer.ts'

/** A containerd that is there answers in milliseconds. */
const LIMIT_MS = 2000

/** Asks containerd, or fails in time; what was left to itself may still be waiting, and nothing is asked beside it. */
export function askInTime<T>(ask: () => Promise<T>): () => Promise<T> {
  const answer = shareAnswer(ask)
  return () => unlessAborted(answer(), AbortSignal.timeout(LIMIT_MS), tooLate)
}

function tooLate(): Error {
  return new Error(`it said nothing for ${LIMIT_MS / 1000} s`)
}
