import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that reports its order. */
await serveAsHelper(async (order, { report }) => report(order))
