import { serveAsHelper } from '../../../lib/process/serve-helper.ts'

let answer = Promise.withResolvers<unknown>()

/** A helper that reports a question, and then the answer. */
await serveAsHelper(
  async (_, { report }) => {
    report({ question: true })
    report({ answer: await answer.promise })
    answer = Promise.withResolvers()
  },
  { isReused: true, onMessage: message => answer.resolve(message) },
)
