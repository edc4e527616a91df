import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that tells its number. */
await serveAsHelper(async (_, { report }) => report(process.pid))
