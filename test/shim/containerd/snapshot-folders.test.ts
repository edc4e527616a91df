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
  ['a bind mount is its source', [bind], '/snapshots/1/fs'],
  ['an overlay is its upper folder', [overlay], '/snapshots/2/fs'],
  ['no mount is none', [], undefined],
  ['two mounts are none', [bind, overlay], undefined],
  ['a device is none', [{ ...bind, type: 'ext4' }], undefined],
  ['an overlay that is not written to is none', [{ ...overlay, options: ['lowerdir=/a:/b'] }], undefined],
  ['a relative path is none', [{ ...bind, source: 'snapshots/1/fs' }], undefined],
  ['a path with .. is none', [{ ...bind, source: '/snapshots/../fs' }], undefined],
])('%s', (_name, mounts, folder) => {
  expect(folderOf(mounts)).toBe(folder)
})
