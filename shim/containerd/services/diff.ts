import * as v from 'valibot'
import type { Calls } from '../../../lib/grpc/client.ts'
import { loadService, type Method } from '../../../lib/grpc/methods.ts'
import type { Mount } from './snapshots.ts'

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
  const { applied } = await calls.unary(APPLY, { diff, mounts }, { timeoutMs: APPLY_TIMEOUT_MS })
  return applied.digest
}

interface ApplyRequest {
  readonly diff: Descriptor
  readonly mounts: readonly Mount[]
}

const method = loadService('diff.proto', 'containerd.services.diff.v1.Diff')
const APPLY: Method<ApplyRequest, { applied: { digest: string } }> = method(
  'Apply',
  v.object({ applied: v.object({ digest: v.string() }) }),
)
