import { serveAsHelper } from '../../shim/helper/helper.ts'

/** A helper that tells its order. */
await serveAsHelper(async (order, { report }) => report(order))
