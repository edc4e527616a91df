import { setTimeout as delay } from 'node:timers/promises'
import { createHelpers } from '../../../lib/process/run-helper.ts'

/** A process that runs a helper, prints the helper's process id, and then only has a waiting helper. */
const helpers = createHelpers(
  { file: new URL('./reporting-pid.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 },
  { afterMs: 1 },
)
await helpers.run({
  job: {},
  signal: new AbortController().signal,
  onReport: pid => process.stdout.write(`${pid}\n`),
})
await delay(50)
