import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

/** A helper that does not end after its report. */
await serveAsHelper(async (_, { report }) => {
  report('all')
  setInterval(() => {}, 1000)
  await new Promise<never>(() => {})
})
