import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that goes on after what it tells. */
await serveAsHelper(async (_, { report }) => {
  report('all')
  setInterval(() => {}, 1000)
  await new Promise<never>(() => {})
})
