import { setTimeout as delay } from 'node:timers/promises'
import { createHelpers } from '../../../lib/process/run-helper.ts'

/** Runs a helper and prints its process id. The process may end as soon as a spare helper is ready. */
const helpers = createHelpers(
  { file: new URL('./reporting-pid.ts', import.meta.url), heapMegabytes: 32 },
  { afterMs: 1 },
)
await helpers.run({
  job: {},
  signal: new AbortController().signal,
  graceMs: 1000,
  onReport: pid => process.stdout.write(`${pid}\n`),
})
await delay(50)
