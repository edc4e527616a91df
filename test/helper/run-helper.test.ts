import { expect, onTestFinished, test } from 'vitest'
import { runHelper } from '../../shim/helper/run-helper.ts'

const RUN = {
  program: new URL('./no-helper.ts', import.meta.url),
  job: {},
  heapMegabytes: 32,
  signal: new AbortController().signal,
  graceMs: 1000,
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
  await expect(runHelper(RUN)).rejects.toThrow('ENOENT')
  expect(unhandled).toEqual([])
})
