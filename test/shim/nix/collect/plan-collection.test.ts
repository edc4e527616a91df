import { expect, test } from 'vitest'
import { isNixFirst, planCollection } from '../../../../shim/nix/collect/plan-collection.ts'

const MIB = 2 ** 20
const SHARES = { below: { share: 0.2 }, upTo: { share: 0.25 } }
const BYTES = { below: { bytes: 100 }, upTo: { bytes: 300 } }

test.each([
  { what: 'a disk with enough space', room: { total: 1000, free: 200 }, limits: SHARES, bytes: undefined },
  { what: 'a disk below a share', room: { total: 1000, free: 199 }, limits: SHARES, bytes: 51 },
  { what: 'a disk below a size', room: { total: 1000, free: 60 }, limits: BYTES, bytes: 240 },
  { what: 'a full disk', room: { total: 1000, free: 0 }, limits: SHARES, bytes: 250 },
  {
    what: 'a disk on which upTo is less than below',
    room: { total: 1000, free: 100 },
    limits: { below: { bytes: 400 }, upTo: { share: 0.25 } },
    bytes: 300,
  },
  {
    what: 'a disk with enough inodes',
    room: { total: 1000 * MIB, free: 500 * MIB, inodes: { total: 1000, free: 200 } },
    limits: SHARES,
    bytes: undefined,
  },
  {
    // 250 inodes are missing, and 500 MiB are in 1000 files.
    what: 'a disk without free inodes',
    room: { total: 1000 * MIB, free: 500 * MIB, inodes: { total: 1000, free: 0 } },
    limits: SHARES,
    bytes: 125 * MIB,
  },
  {
    what: 'a disk with as few inodes as a size is of it',
    room: { total: 1000 * MIB, free: 500 * MIB, inodes: { total: 1000, free: 0 } },
    limits: { below: { bytes: 100 * MIB }, upTo: { bytes: 200 * MIB } },
    bytes: 100 * MIB,
  },
  {
    what: 'a disk without free inodes and with tiny files',
    room: { total: 1000 * MIB, free: 999 * MIB, inodes: { total: 1000, free: 0 } },
    limits: SHARES,
    bytes: MIB,
  },
  {
    what: 'a disk that is smaller than the limit',
    room: { total: 1000 * MIB, free: 500 * MIB, inodes: { total: 1000, free: 999 } },
    limits: { below: { bytes: 2 ** 60 }, upTo: { bytes: 2 ** 60 } },
    bytes: 2 ** 60 - 500 * MIB,
  },
  {
    what: 'a disk that lacks bytes more than inodes',
    room: { total: 1000 * MIB, free: 0, inodes: { total: 1000, free: 190 } },
    limits: SHARES,
    bytes: 250 * MIB,
  },
])('$what needs $bytes bytes', ({ room, limits, bytes }) => {
  expect(planCollection(room, limits)).toBe(bytes)
})

test.each([
  { minFree: 0, below: { share: 0.2 }, isFirst: false },
  { minFree: 199, below: { share: 0.2 }, isFirst: false },
  { minFree: 200, below: { share: 0.2 }, isFirst: true },
  { minFree: 99, below: { bytes: 100 }, isFirst: false },
  { minFree: 101, below: { bytes: 100 }, isFirst: true },
])(
  'on a disk of 1000, whether min-free of $minFree acts before the shim at $below: $isFirst',
  ({ minFree, below, isFirst }) => {
    expect(isNixFirst(minFree, { below, upTo: below }, 1000)).toBe(isFirst)
  },
)
