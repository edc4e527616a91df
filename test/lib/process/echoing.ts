import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that tells its order. */
await serveAsHelper(async (order, { report }) => report(order))
