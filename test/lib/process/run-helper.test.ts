import { expect, onTestFinished, test } from 'vitest'
import { createHelpers } from '../../../lib/process/run-helper.ts'

const RUN = {
  job: {},
  signal: new AbortController().signal,
  onReport: () => {},
}

test('a helper that cannot be started only fails its own run', async () => {
  const { execPath } = process
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => {
    process.execPath = execPath
    process.off('unhandledRejection', note)
  })
  process.execPath = '/no/such/program'
  const helpers = createHelpers({ file: new URL('./no-helper.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 })
  await expect(helpers.run(RUN)).rejects.toThrow('ENOENT')
  expect(unhandled).toEqual([])
})

test('an order may contain any line separators', async () => {
  const job = { text: 'one\u2028two\u2029three\u0085four\rfive' }
  const reported: unknown[] = []
  const helpers = createHelpers(
    { file: new URL('./echoing.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 },
    { afterMs: 60_000 },
  )
  await helpers.run({ ...RUN, job, onReport: report => reported.push(report) })
  expect(reported).toEqual([job])
})
