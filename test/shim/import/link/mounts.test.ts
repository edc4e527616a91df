import { expect, test } from 'vitest'
import { commonMounts, fileSystemPath, parseMountInfo, pathThrough } from '../../../../shim/import/link/mounts.ts'

const TEXT = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /run rw - tmpfs tmpfs rw
24 22 8:1 /nix/store /nix/store ro,relatime - ext4 /dev/sda1 rw
25 22 8:2 / /var/lib/containerd rw - xfs /dev/sdb rw
26 22 8:1 /srv/with\\040space /mnt/with\\040space rw - ext4 /dev/sda1 rw
27 23 8:1 / /run/enbi-shim/root rw - ext4 /dev/sda1 rw
`
const MOUNTS = parseMountInfo(TEXT)

test('escapes in the paths of mounts are decoded', () => {
  expect(MOUNTS).toHaveLength(6)
  expect(MOUNTS[2]).toEqual({ device: '8:1', root: '/nix/store', path: '/nix/store', readOnly: true })
  expect(MOUNTS[4]).toEqual({ device: '8:1', root: '/srv/with space', path: '/mnt/with space', readOnly: false })
})

test.each([
  ['/nix/store', '8:1', '/nix/store'],
  ['/nix/store/a/b', '8:1', '/nix/store/a/b'],
  ['/nix/storehouse', '8:1', '/nix/storehouse'],
  ['/', '8:1', '/'],
  ['/run/enbi-shim/root/etc', '8:1', '/etc'],
  ['/run/other', '0:21', '/other'],
  ['/mnt/with space/x', '8:1', '/srv/with space/x'],
  ['/var/lib/containerd/x', '8:2', '/x'],
])('%s is on its file system', (path, device, inside) => {
  expect(fileSystemPath(MOUNTS, path)).toEqual({ device, path: inside })
})

test('the later of two mounts at one path counts', () => {
  const mounts = parseMountInfo(`${TEXT}28 22 8:3 /sub /nix/store rw - ext4 /dev/sdc rw\n`)
  expect(fileSystemPath(mounts, '/nix/store/a')).toEqual({ device: '8:3', path: '/sub/a' })
})

test('two paths are shown by mounts of their file system whose root is above both', () => {
  const store = { device: '8:1', path: '/nix/store' }
  const snapshots = { device: '8:1', path: '/var/lib/containerd' }
  expect(commonMounts(MOUNTS, store, snapshots).map(({ path }) => path)).toEqual(['/', '/run/enbi-shim/root'])
  expect(commonMounts(MOUNTS, store, { ...snapshots, device: '8:2' })).toEqual([])
})

test('a path is found through a mount of its file system', () => {
  const [root, , store] = MOUNTS
  if (!root || !store) throw new Error('no mounts')
  expect(pathThrough('/view', root, { device: '8:1', path: '/nix/store/a' })).toBe('/view/nix/store/a')
  expect(pathThrough('/view', store, { device: '8:1', path: '/nix/store/a' })).toBe('/view/a')
  expect(pathThrough('/view', store, { device: '8:1', path: '/nix/store' })).toBe('/view')
})
