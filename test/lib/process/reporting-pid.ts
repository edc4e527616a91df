import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that reports its process id, and takes one job after another. */
await serveAsHelper(async (_, { report }) => report(process.pid), { isReused: true })
