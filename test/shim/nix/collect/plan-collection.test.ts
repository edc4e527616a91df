import { expect, test } from 'vitest'
import { planCollection } from '../../../../shim/nix/collect/plan-collection.ts'

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
])('$what needs $bytes bytes', ({ room, limits, bytes }) => {
  expect(planCollection(room, limits)).toBe(bytes)
})
