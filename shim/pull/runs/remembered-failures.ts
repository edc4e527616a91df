import { type ErrorCode, reviveError, type ShimError } from '../../../lib/errors.ts'

/** Final failures, which answer later requests for a while. Their number and length are bounded. */
export interface RememberedFailures {
  /** The failure of the run with that key, if it applies to a request with these terms. */
  find(key: string, terms: string): ShimError | undefined
  add(key: string, terms: string, error: ShimError): void
}

/** The oldest failures are forgotten when either limit is reached. */
const MAX_FAILURES = 1000
/** Characters of all messages together. */
const MAX_LENGTH = 2 * 1024 * 1024

export function createRememberedFailures(rememberMs: number): RememberedFailures {
  const failures = new Map<string, { error: ShimError; terms: string; until: number }>()
  let length = 0

  function forget(key: string): void {
    length -= failures.get(key)?.error.message.length ?? 0
    failures.delete(key)
  }

  return {
    find(key, terms) {
      const failure = failures.get(key)
      if (failure && failure.until > Date.now()) return isForTerms(failure, terms) ? failure.error : undefined
      forget(key)
      return undefined
    },
    add(key, terms, { code, message }) {
      forget(key)
      // Without its cause, which may be of any size.
      failures.set(key, { error: reviveError(code, message), terms, until: Date.now() + rememberMs })
      length += message.length
      for (const oldest of failures.keys()) {
        if (failures.size <= MAX_FAILURES && length <= MAX_LENGTH) return
        forget(oldest)
      }
    },
  }
}

/** These depend on the rule of the request. */
const REFUSALS: readonly ErrorCode[] = ['PolicyRefused', 'ImageTooLarge', 'ImageNotOurs']

/** Whether a failure under other terms also applies to a request with these. */
export function isForTerms(failure: { readonly error: ShimError; readonly terms: string }, terms: string): boolean {
  return failure.terms === terms || !REFUSALS.includes(failure.error.code)
}
