import { randomUUID } from 'node:crypto'
import type { Calls } from '../../../lib/grpc/client.ts'
import { hasStatus, unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService, requireField } from '../../../lib/grpc/service.ts'
import { STATUS } from '../../../lib/grpc/status.ts'
import type { SnapshotsDefinition } from '../../../protos/generated/containerd/services/snapshots/v1/Snapshots.ts'
import type { Mount__Output } from '../../../protos/generated/containerd/types/Mount.ts'

const SNAPSHOTS = loadService<SnapshotsDefinition>('snapshots.proto', 'containerd.services.snapshots.v1.Snapshots')

export interface Snapshotter {
  readonly calls: Calls
  /** `overlayfs` */
  readonly name: string
}

export type Mount = Readonly<Mount__Output>

/** A snapshot to be filled and committed. */
export interface ActiveSnapshot {
  readonly key: string
  readonly mounts: readonly Mount[]
}

export interface SnapshotInfo {
  readonly labels: Readonly<Record<string, string>>
}

/** Undefined if there is no snapshot of that key. */
export async function findSnapshot({ calls, name }: Snapshotter, key: string): Promise<SnapshotInfo | undefined> {
  const answer = await unlessMissing(calls.unary(SNAPSHOTS.Stat, { snapshotter: name, key }))
  return answer && requireField(SNAPSHOTS.Stat, answer, 'info')
}

/** Sets one label and keeps the others. */
export async function labelSnapshot({ calls, name }: Snapshotter, key: string, label: SnapshotLabel): Promise<void> {
  const info = { name: key, labels: { [label.name]: label.value } }
  await calls.unary(SNAPSHOTS.Update, { snapshotter: name, info, updateMask: { paths: [`labels.${label.name}`] } })
}

export interface SnapshotLabel {
  readonly name: string
  readonly value: string
}

/** `parent` is a chainID, empty for the first layer. */
export async function prepareSnapshot({ calls, name }: Snapshotter, parent: string): Promise<ActiveSnapshot> {
  const key = `extract-enbi-shim-${randomUUID()}`
  const { mounts } = await calls.unary(SNAPSHOTS.Prepare, { snapshotter: name, key, parent })
  return { key, mounts }
}

/** Commits a filled snapshot under a name. Returns false, and discards the snapshot, if that name exists already. */
export async function commitSnapshot(snapshotter: Snapshotter, key: string, name: string): Promise<boolean> {
  try {
    await snapshotter.calls.unary(SNAPSHOTS.Commit, { snapshotter: snapshotter.name, key, name })
    return true
  } catch (error) {
    if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
    await discardSnapshot(snapshotter, key)
    return false
  }
}

const REMOVE_TIMEOUT_MS = 5_000

/**
 * Removes a snapshot that is not needed any more. A failure is ignored, as the lease's end collects what remains. It also works
 * after the caller's signal has aborted.
 */
export async function discardSnapshot({ calls, name }: Snapshotter, key: string): Promise<void> {
  const cleanUp = calls.within({ signal: undefined })
  await cleanUp.unary(SNAPSHOTS.Remove, { snapshotter: name, key }, { timeoutMs: REMOVE_TIMEOUT_MS }).catch(() => {})
}

/** Removes a committed snapshot. Throws if other snapshots are on top of it. */
export async function removeSnapshot({ calls, name }: Snapshotter, key: string): Promise<void> {
  await unlessMissing(calls.unary(SNAPSHOTS.Remove, { snapshotter: name, key }))
}
