import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import type { Calls } from '../../../lib/grpc/client.ts'
import { hasStatus, unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService, type Method } from '../../../lib/grpc/methods.ts'
import { STATUS } from '../../../lib/grpc/status.ts'

export interface Snapshotter {
  readonly calls: Calls
  /** `overlayfs` */
  readonly name: string
}

export interface Mount {
  readonly type: string
  readonly source: string
  readonly target: string
  readonly options: readonly string[]
}

/** A snapshot that is being filled. */
export interface ActiveSnapshot {
  readonly key: string
  readonly mounts: readonly Mount[]
}

export interface SnapshotInfo {
  readonly labels: Readonly<Record<string, string>>
}

/** Undefined when there is none of that key. */
export async function findSnapshot({ calls, name }: Snapshotter, key: string): Promise<SnapshotInfo | undefined> {
  return (await unlessMissing(calls.unary(STAT, { snapshotter: name, key })))?.info
}

/** Sets a label; others are kept. */
export async function labelSnapshot({ calls, name }: Snapshotter, key: string, label: SnapshotLabel): Promise<void> {
  const info = { name: key, labels: { [label.name]: label.value } }
  await calls.unary(UPDATE, { snapshotter: name, info, updateMask: { paths: [`labels.${label.name}`] } })
}

export interface SnapshotLabel {
  readonly name: string
  readonly value: string
}

/** `parent` is a chainID, empty for the first layer. */
export async function prepareSnapshot({ calls, name }: Snapshotter, parent: string): Promise<ActiveSnapshot> {
  const key = `extract-enbi-shim-${randomUUID()}`
  const { mounts } = await calls.unary(PREPARE, { snapshotter: name, key, parent })
  return { key, mounts }
}

/** Gives a filled snapshot its name. When there is one of that name already, that one is kept: false. */
export async function commitSnapshot(snapshotter: Snapshotter, key: string, name: string): Promise<boolean> {
  try {
    await snapshotter.calls.unary(COMMIT, { snapshotter: snapshotter.name, key, name })
    return true
  } catch (error) {
    if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
    await removeSnapshot(snapshotter, key)
    return false
  }
}

const REMOVE_TIMEOUT_MS = 5_000

/** Best effort, and goes on after the caller's signal: whatever this misses is collected with the lease. */
export async function removeSnapshot({ calls, name }: Snapshotter, key: string): Promise<void> {
  const cleanUp = calls.within({ signal: undefined })
  await cleanUp.unary(REMOVE, { snapshotter: name, key }, { timeoutMs: REMOVE_TIMEOUT_MS }).catch(() => {})
}

/** Throws when others are on top of it. */
export async function forgetSnapshot({ calls, name }: Snapshotter, key: string): Promise<void> {
  await unlessMissing(calls.unary(REMOVE, { snapshotter: name, key }))
}

const mount = v.object({
  type: v.string(),
  source: v.string(),
  target: v.string(),
  options: v.array(v.string()),
})

interface PrepareRequest {
  readonly snapshotter: string
  readonly key: string
  readonly parent: string
}

interface CommitRequest {
  readonly snapshotter: string
  readonly key: string
  readonly name: string
}

interface KeyRequest {
  readonly snapshotter: string
  readonly key: string
}

interface UpdateRequest {
  readonly snapshotter: string
  readonly info: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly updateMask: { readonly paths: readonly string[] }
}

const method = loadService('snapshots.proto', 'containerd.services.snapshots.v1.Snapshots')
const info = v.object({ labels: v.record(v.string(), v.string()) })
const STAT: Method<KeyRequest, { info: SnapshotInfo }> = method('Stat', v.object({ info }))
const UPDATE: Method<UpdateRequest, object> = method('Update', v.object({}))
const PREPARE: Method<PrepareRequest, { mounts: Mount[] }> = method('Prepare', v.object({ mounts: v.array(mount) }))
const COMMIT: Method<CommitRequest, object> = method('Commit', v.object({}))
const REMOVE: Method<KeyRequest, object> = method('Remove', v.object({}))
