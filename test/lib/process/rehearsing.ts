import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

let rehearsals = 0

/** A helper that tells how often it has rehearsed. */
await serveAsHelper(
  async (_, { report }) => report(rehearsals),
  async () => {
    rehearsals += 1
  },
)
