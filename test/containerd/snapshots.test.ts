import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Calls, createCalls } from '../../shim/containerd/calls.ts'
import { type Connection, createConnection } from '../../shim/containerd/connection.ts'
import { createLease, deleteLease } from '../../shim/containerd/leases.ts'
import { prepareSnapshot, snapshotExists } from '../../shim/containerd/snapshots.ts'
import { commitHeld } from '../../shim/containerd/unpack.ts'
import { type Bed, startBed } from '../node/bed.ts'

let bed: Bed
let connection: Connection
let calls: Calls
beforeAll(async () => {
  bed = await startBed({ without: ['nix'] })
  connection = createConnection(bed.containerdSocket)
  calls = createCalls(connection, { namespace: 'k8s.io' })
})
afterAll(async () => {
  connection.close()
  await bed[Symbol.asyncDispose]()
})

async function fillUnderLease() {
  const lease = await createLease(calls, { id: randomUUID(), lifetimeMs: 60_000, labels: {} })
  const snapshotter = { calls: lease.calls, name: 'overlayfs' }
  const { key } = await prepareSnapshot(snapshotter, '')
  return { lease, snapshotter, key }
}

test('a snapshot that two imports make is kept for both, whichever ends first', async () => {
  const name = 'made-by-two'
  const [first, second] = [await fillUnderLease(), await fillUnderLease()]
  await commitHeld(first, name)
  await commitHeld(second, name)
  await deleteLease(calls, first.lease.id, { collect: true })
  expect(await snapshotExists(second.snapshotter, name)).toBe(true)
  expect(await snapshotExists(second.snapshotter, second.key)).toBe(false)
  await deleteLease(calls, second.lease.id, { collect: true })
  expect(await snapshotExists(second.snapshotter, name)).toBe(false)
})
