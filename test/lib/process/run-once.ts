import { setTimeout as delay } from 'node:timers/promises'
import { createHelpers } from '../../../lib/process/run-helper.ts'

/** A process that has a helper run, prints its number, and has nothing else to do as soon as another waits. */
const helpers = createHelpers(
  { file: new URL('./told-pid.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 },
  { afterMs: 1 },
)
await helpers.run({
  job: {},
  signal: new AbortController().signal,
  onReport: pid => process.stdout.write(`${pid}\n`),
})
await delay(50)
