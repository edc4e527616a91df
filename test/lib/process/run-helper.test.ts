import { expect, onTestFinished, test } from 'vitest'
import { createHelpers } from '../../../lib/process/run-helper.ts'

const RUN = {
  job: {},
  signal: new AbortController().signal,
  onReport: () => {},
}

test('a machine that has no room for another process fails the helper that was to be started, and nothing else', async () => {
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

test('an order may have whatever ends lines elsewhere', async () => {
  const job = { text: 'one\u2028two\u2029three\u0085four\rfive' }
  const told: unknown[] = []
  const helpers = createHelpers(
    { file: new URL('./echoing.ts', import.meta.url), heapMegabytes: 32, graceMs: 1000 },
    { afterMs: 60_000 },
  )
  await helpers.run({ ...RUN, job, onReport: report => told.push(report) })
  expect(told).toEqual([job])
})
