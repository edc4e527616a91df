import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'

const NICENESS = -15

/**
 * Has all threads of this process go before others until that is disposed of: where the processors are busy, a caller waits for
 * them to collect its own garbage, and would measure that. What is started meanwhile goes first, too.
 */
export function comeFirst(): Disposable {
  setAll(NICENESS)
  return { [Symbol.dispose]: () => setAll(0) }
}

/** To Linux a thread is a process with a number of its own (setpriority(2)). */
function setAll(niceness: number): void {
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), niceness)
}
