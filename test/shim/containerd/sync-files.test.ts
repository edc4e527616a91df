import { expect, test } from 'vitest'
import { canSync, syncFiles } from '../../../shim/containerd/sync-files.ts'

test('a disk that hangs is not waited for beyond the limit, and the image is worth another try', async () => {
  // It follows the file, and never ends.
  const hanging = { program: 'tail', limitMs: 1, signal: undefined }
  await expect(syncFiles(import.meta.filename, hanging)).rejects.toMatchObject({
    code: 'ImportInterrupted',
    message: expect.stringMatching(
      /cannot be written to disk: .+ took longer than 0\.001 s; check whether its disk hangs$/,
    ),
  })
})

test('a node without the program sync is told from one that has it', async () => {
  expect(await canSync({ PATH: '/none' }, '/none')).toBe(false)
  expect(await canSync({ PATH: '/none' })).toBe(true)
})
