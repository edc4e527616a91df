import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

let warmUps = 0

/** A helper that tells how often it has rehearsed. */
await serveAsHelper(
  async (_, { report }) => report(warmUps),
  async () => {
    warmUps += 1
  },
)
