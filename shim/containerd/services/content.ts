import type { OpenCall } from '../../../lib/grpc/call.ts'
import type { Calls } from '../../../lib/grpc/client.ts'
import { hasStatus, unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService, requireField } from '../../../lib/grpc/service.ts'
import { STATUS } from '../../../lib/grpc/status.ts'
import type { ContentDefinition } from '../../../protos/generated/containerd/services/content/v1/Content.ts'
import type { Info__Output } from '../../../protos/generated/containerd/services/content/v1/Info.ts'
import type { WriteContentResponse__Output } from '../../../protos/generated/containerd/services/content/v1/WriteContentResponse.ts'
import { MESSAGE_BYTES } from './constants.ts'

const CONTENT = loadService<ContentDefinition>('content.proto', 'containerd.services.content.v1.Content')

/** `size` in bytes. */
export type BlobInfo = Readonly<Info__Output>

export interface BlobWrite {
  /** Name of the unfinished blob; unique among the current writes. */
  readonly ref: string
  /** Set when the blob is committed. */
  readonly labels?: Readonly<Record<string, string>>
}

/** Undefined if containerd has no blob of that digest. */
export async function blobInfo(calls: Calls, digest: string): Promise<BlobInfo | undefined> {
  const answer = await unlessMissing(calls.unary(CONTENT.Info, { digest }))
  return answer && requireField(CONTENT.Info, answer, 'info')
}

/**
 * Writes a blob, whose digest containerd computes. A blob that containerd already has is not an error. A failed write is aborted.
 * Shorter chunks are gathered into messages of MESSAGE_BYTES. Once the next chunk is requested, the memory of the chunks before
 * may be reused.
 */
export async function writeBlob(calls: Calls, write: BlobWrite, source: AsyncIterable<Buffer>): Promise<WrittenBlob> {
  const call = await calls.open(CONTENT.Write)
  try {
    return await sendBlob(call, write, source)
  } catch (error) {
    call.cancel()
    await abortWrite(calls, write.ref)
    throw error
  }
}

/** Sets labels of an existing blob and keeps the others. */
export async function labelBlob(calls: Calls, digest: string, labels: Readonly<Record<string, string>>): Promise<void> {
  const paths = Object.keys(labels).map(label => `labels.${label}`)
  await calls.unary(CONTENT.Update, { info: { digest, labels }, updateMask: { paths } })
}

const ABORT_TIMEOUT_MS = 5_000

/** Ignores failures, as the lease's end collects what remains. It also works after the caller's signal has aborted. */
async function abortWrite(calls: Calls, ref: string): Promise<void> {
  const cleanUp = calls.within({ signal: undefined })
  await cleanUp.unary(CONTENT.Abort, { ref }, { timeoutMs: ABORT_TIMEOUT_MS }).catch(() => {})
}

interface WrittenBlob {
  /** `sha256:<hex>`, as computed by containerd. */
  readonly digest: string
  /** In bytes. */
  readonly size: number
}

async function sendBlob(
  call: OpenCall<WriteContentResponse__Output>,
  { ref, labels = {} }: BlobWrite,
  source: AsyncIterable<Buffer>,
): Promise<WrittenBlob> {
  const answers = watchAnswers(call)
  let offset = 0
  for await (const chunks of inMessages(source)) {
    const length = byteLength(chunks)
    await call.send([CONTENT.Write.requestSerialize({ action: 'WRITE', ref, offset }), dataField(length), ...chunks])
    offset += length
    // If containerd has ended the call early, its answer says why.
    if (answers.hasEnded()) await answers.end
  }
  // The answer to a commit of an existing blob lacks the digest, so it is requested before.
  await call.send([CONTENT.Write.requestSerialize({ action: 'STAT', ref, offset })])
  const { digest, offset: size } = await answers.stat
  if (size !== offset) throw new Error(`containerd took ${size} of ${offset} bytes`)
  await call.send([
    CONTENT.Write.requestSerialize({ action: 'COMMIT', ref, offset, total: offset, expected: digest, labels }),
  ])
  call.end()
  await answers.end.catch(unlessThereAlready)
  return { digest, size }
}

function unlessThereAlready(error: unknown): void {
  if (!hasStatus(error, STATUS.ALREADY_EXISTS)) throw error
}

function watchAnswers(call: OpenCall<WriteContentResponse__Output>) {
  const stat = Promise.withResolvers<WriteContentResponse__Output>()
  let ended = false
  const end = (async () => {
    for await (const answer of call.answers) if (answer.action === 'STAT') stat.resolve(answer)
  })()
  end
    .then(() => stat.reject(new Error('containerd ended the write early')), stat.reject)
    .finally(() => {
      ended = true
    })
  stat.promise.catch(() => {})
  return { stat: stat.promise, end, hasEnded: () => ended }
}

async function* inMessages(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let chunks: Buffer[] = []
  let gathered = 0
  for await (const chunk of source) {
    chunks.push(chunk)
    gathered += chunk.length
    if (gathered < MESSAGE_BYTES) continue
    yield chunks
    chunks = []
    gathered = 0
  }
  if (gathered > 0) yield chunks
}

function byteLength(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

/** Tag of field 6 of WriteContentRequest, `bytes data`. The bytes follow the field's header without being copied. */
const DATA_FIELD_TAG = (6 << 3) | 2

function dataField(length: number): Buffer {
  const bytes = [DATA_FIELD_TAG]
  let rest = length
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}
