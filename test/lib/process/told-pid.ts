import { serveAsHelper } from '../../../lib/process/helper.ts'

/** A helper that tells its number. */
await serveAsHelper(async (_, { report }) => report(process.pid))
