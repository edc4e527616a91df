import { setTimeout as delay } from 'node:timers/promises'
import { createHelperPool } from '../../../lib/process/helper-pool.ts'
import { programOf } from './helper-programs.ts'

/** A process that runs a helper, prints the helper's process id, and then only has a waiting helper. */
const isReused = process.argv[2] === 'reused'
const pool = createHelperPool({ ...programOf('reporting-pid'), isReused }, { afterMs: 1 })
const run = { job: {}, signal: new AbortController().signal, parse: (report: unknown) => report }
const pid = await pool.run({ ...run, onReport: report => report })
process.stdout.write(`${pid}\n`)
await delay(50)
