import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that reports its process id. */
await serveAsHelper(async (_, { report }) => report(process.pid))
