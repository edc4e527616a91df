import { unlessAborted } from '../../lib/async/bounded-wait.ts'
import { messageOf } from '../../lib/errors.ts'
import { type Check, type Finding, failed } from './probes/finding.ts'

export type NamedFinding = Finding & { readonly check: string }

/** Longest time of one check, in milliseconds. */
const LIMIT_MS = 20_000

/** Runs all checks concurrently and yields their findings in the given order. */
export async function* runChecks(checks: readonly Check[]): AsyncGenerator<NamedFinding> {
  const running = checks.map(check => run(check))
  for (const finding of running) yield await finding
}

async function run({ name, look }: Check): Promise<NamedFinding> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  try {
    return { check: name, ...(await unlessAborted(Promise.resolve(look(signal)), signal, tooLate)) }
  } catch (error) {
    return {
      check: name,
      ...failed(messageOf(error), 'check that the service runs and answers; see its log (journalctl)'),
    }
  }
}

function tooLate(): Error {
  return new Error(`no answer within ${LIMIT_MS / 1000} s`)
}
