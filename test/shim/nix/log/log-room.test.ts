import { expect, it } from 'vitest'
import { maxFileSize, roomOn } from '../../../../shim/nix/log/log-room.ts'

const MiB = 1024 ** 2

it.each([
  ['1 GiB on a large file system', 100 * 1024, 1024, 16],
  ['a twentieth of a small file system, with smaller files', 2000, 100, 6.25],
  ['a twentieth of a tiny one', 20, 1, 1 / 16],
  ['1 GiB on a file system that does not tell its size', 0, 1024, 16],
])('run logs take at most %s', (_, size, room, file) => {
  const found = roomOn({ blocks: (size * MiB) / 4096, bsize: 4096 })
  expect(found).toEqual({ count: 400, bytes: room * MiB })
  expect(maxFileSize(found)).toBe(Math.floor(file * MiB))
})
