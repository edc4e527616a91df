import { expect, test } from 'vitest'
import { folderOf } from '../../../shim/containerd/snapshot-folders.ts'

const bind = { type: 'bind', source: '/snapshots/1/fs', target: '', options: ['rw', 'rbind'] }
const overlay = {
  type: 'overlay',
  source: 'overlay',
  target: '',
  options: ['index=off', 'workdir=/snapshots/2/work', 'upperdir=/snapshots/2/fs', 'lowerdir=/snapshots/1/fs'],
}

test.each([
  ['the source of a bind mount', [bind], '/snapshots/1/fs'],
  ['the upper folder of an overlay', [overlay], '/snapshots/2/fs'],
  ['none without a mount', [], undefined],
  ['none for two mounts', [bind, overlay], undefined],
  ['none for a device', [{ ...bind, type: 'ext4' }], undefined],
  ['none for an overlay without an upper folder', [{ ...overlay, options: ['lowerdir=/a:/b'] }], undefined],
  ['none for a relative path', [{ ...bind, source: 'snapshots/1/fs' }], undefined],
  ['none for a path with ..', [{ ...bind, source: '/snapshots/../fs' }], undefined],
])('the folder of a snapshot is %s', (_name, mounts, folder) => {
  expect(folderOf(mounts)).toBe(folder)
})
