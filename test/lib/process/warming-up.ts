import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

let warmUps = 0

/** A helper that reports how often it has warmed up. */
await serveAsHelper(async (_, { report }) => report(warmUps), {
  warmUp: async () => {
    warmUps += 1
  },
})
