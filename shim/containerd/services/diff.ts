import type { Calls } from '../../../lib/grpc/client.ts'
import { loadService, requireField } from '../../../lib/grpc/service.ts'
import type { DiffDefinition } from '../../../protos/generated/containerd/services/diff/v1/Diff.ts'
import type { Mount } from './snapshots.ts'

const DIFF = loadService<DiffDefinition>('diff.proto', 'containerd.services.diff.v1.Diff')

/** A blob as OCI describes it. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:<hex>` */
  readonly digest: string
  /** In bytes. */
  readonly size: number
}

/** A layer may be large and the disk slow. */
const APPLY_TIMEOUT_MS = 30 * 60_000

/** Unpacks a layer of the content store into the mounts; returns the digest of its uncompressed tar, the diffID. */
export async function applyLayer(calls: Calls, diff: Descriptor, mounts: readonly Mount[]): Promise<string> {
  const answer = await calls.unary(DIFF.Apply, { diff, mounts: [...mounts] }, { timeoutMs: APPLY_TIMEOUT_MS })
  return requireField(DIFF.Apply, answer, 'applied').digest
}
