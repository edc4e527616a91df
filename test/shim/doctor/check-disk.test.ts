import { expect, it } from 'vitest'
import { checkDisk } from '../../../shim/doctor/check-disk.ts'

it('the disk check uses the folder above a missing one', async () => {
  const containerd = { address: '/none', snapshotter: 'overlayfs' }
  const { text } = await checkDisk({ stateDir: '/none/state', containerd }).look(AbortSignal.timeout(60_000))
  expect(text).toMatch(/^\/none\/state: \d.* free/)
})
