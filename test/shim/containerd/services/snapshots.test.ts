import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { GrpcClient } from '../../../../lib/grpc/client.ts'
import { connectContainerd } from '../../../../shim/containerd/connect.ts'
import { writeBlob } from '../../../../shim/containerd/services/content.ts'
import { createLease, deleteLease, type Lease } from '../../../../shim/containerd/services/leases.ts'
import { findSnapshot, prepareSnapshot } from '../../../../shim/containerd/services/snapshots.ts'
import { chainsOf, createSnapshotStore } from '../../../../shim/containerd/snapshot-store.ts'
import { createUnpacker } from '../../../../shim/containerd/unpack.ts'
import { oneChunk } from '../../../../shim/import/streams/streams.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { PATIENT } from '../../../patience.ts'
import { tar } from '../../import/tar.ts'

let bed: Bed
let calls: GrpcClient
beforeAll(async () => {
  bed = await startBed({ without: ['nix'] })
  calls = connectContainerd({ address: bed.containerdSocket })
})
afterAll(async () => {
  calls[Symbol.dispose]()
  await bed[Symbol.asyncDispose]()
})

async function fillUnderLease() {
  const lease = await createLease(calls, { id: randomUUID(), lifetimeMs: 60_000, labels: {} })
  const snapshots = createSnapshotStore(lease, 'overlayfs')
  return { lease, snapshots, filled: await prepareSnapshot(snapshots.snapshotter, '') }
}

test('a snapshot that two imports make is kept until both have ended', async () => {
  const name = 'made-by-two'
  const [first, second] = [await fillUnderLease(), await fillUnderLease()]
  await first.snapshots.commit(first.filled, name)
  await second.snapshots.commit(second.filled, name)
  await deleteLease(calls, first.lease.id, { collect: true })
  expect(await findSnapshot(second.snapshots.snapshotter, name)).toBeDefined()
  expect(await findSnapshot(second.snapshots.snapshotter, second.filled.key)).toBeUndefined()
  await deleteLease(calls, second.lease.id, { collect: true })
  expect(await findSnapshot(second.snapshots.snapshotter, name)).toBeUndefined()
})

test('a layer that is announced twice for the same place is unpacked once', async () => {
  const lease = await createLease(calls, { id: randomUUID(), lifetimeMs: 60_000, labels: {} })
  const layers = await Promise.all(['bottom', 'top'].map(name => writeLayer(lease, name)))
  const unpacked: number[] = []
  const unpacker = createUnpacker({
    snapshots: createSnapshotStore(lease, 'overlayfs'),
    onUnpacked: done => unpacked.push(done),
  })
  for (const _ of ['as it is read', 'as the manifest lists it'])
    for (const [place, layer] of layers.entries()) unpacker.expect(layer, place)
  await vi.waitFor(() => expect(unpacked).toContain(2), PATIENT)
  const top = await unpacker.complete(layers.map(layer => ({ ...layer, diffId: layer.digest })))
  expect(top).toBe(chainsOf(layers.map(({ digest }) => digest)).at(-1))
  expect(unpacked).toEqual([1, 2])
  await deleteLease(calls, lease.id, { collect: true })
})

async function writeLayer(lease: Lease, name: string) {
  const blob = await writeBlob(lease.calls, { ref: randomUUID(), labels: {} }, oneChunk(await tar([{ name }])))
  return { ...blob, mediaType: 'application/vnd.oci.image.layer.v1.tar' }
}
