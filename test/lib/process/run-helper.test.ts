import { expect, onTestFinished, test } from 'vitest'
import { createHelpers } from '../../../lib/process/run-helper.ts'

const RUN = {
  job: {},
  signal: new AbortController().signal,
  graceMs: 1000,
  onReport: () => {},
}

test('a failed process start fails only the helper', async () => {
  const { execPath } = process
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => {
    process.execPath = execPath
    process.off('unhandledRejection', note)
  })
  process.execPath = '/no/such/program'
  const helpers = createHelpers({ file: new URL('./no-helper.ts', import.meta.url), heapMegabytes: 32 })
  await expect(helpers.run(RUN)).rejects.toThrow('ENOENT')
  expect(unhandled).toEqual([])
})

test('an order may contain any line separators', async () => {
  const job = { text: 'one\u2028two\u2029three\u0085four\rfive' }
  const reports: unknown[] = []
  const helpers = createHelpers(
    { file: new URL('./echoing.ts', import.meta.url), heapMegabytes: 32 },
    { afterMs: 60_000 },
  )
  await helpers.run({ ...RUN, job, onReport: report => reports.push(report) })
  expect(reports).toEqual([job])
})
