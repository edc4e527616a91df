import { serveAsHelper } from '../../../lib/process/helper.ts'

/** A helper that tells its order. */
await serveAsHelper(async (order, { report }) => report(order))
