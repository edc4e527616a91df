import { expect, test } from 'vitest'
import { canSync, syncFiles } from '../../../shim/containerd/sync-files.ts'

test('syncFiles abandons a disk that hangs after the limit, with a retryable error', async () => {
  // It follows the file, and never ends.
  const hanging = { program: 'tail', limitMs: 1, signal: undefined }
  await expect(syncFiles(import.meta.filename, hanging)).rejects.toMatchObject({
    code: 'ImportInterrupted',
    message: expect.stringMatching(
      /cannot be written to disk: .+ took longer than 0\.001 s; check whether its disk hangs$/,
    ),
  })
})

test('canSync says whether the program sync exists', async () => {
  expect(await canSync({ PATH: '/none' }, '/none')).toBe(false)
  expect(await canSync({ PATH: '/none' })).toBe(true)
})
