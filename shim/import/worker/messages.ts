import * as v from 'valibot'
import { type ErrorCode, isErrorCode } from '../../../lib/errors.ts'
import { linkingReportSchema } from './linking-report.ts'

/** What an import's helper process is given. */
export const jobSchema = v.object({
  storePath: v.string(),
  image: v.string(),
  labels: v.record(v.string(), v.string()),
  ownedBy: v.string(),
  replaceForeign: v.boolean(),
  containerd: v.object({ address: v.string(), namespace: v.string(), snapshotter: v.string() }),
  /** Folder of remembered plans. */
  plansFolder: v.string(),
  /** Folder of remembered digests of layers. */
  digestsFolder: v.string(),
  /** Folder that a mount may be put on. */
  viewFolder: v.string(),
  layers: v.picklist(['linked', 'tar']),
  /** Whether files are linked from a store that is not root's. */
  trustStore: v.boolean(),
  archive: v.exactOptional(v.string()),
  plainPackage: v.exactOptional(
    v.object({
      mainProgram: v.exactOptional(v.string()),
      imageConfig: v.exactOptional(v.record(v.string(), v.unknown())),
    }),
  ),
  packageSet: v.exactOptional(v.object({ mainProgram: v.exactOptional(v.string()) })),
  /** Most bytes of the image's layers, decompressed. */
  maxImageSize: v.number(),
  /** Names the importer, the same after a restart. */
  importer: v.string(),
  /** Names this run of the shim. */
  process: v.string(),
  /** Id of the lease that this import takes. */
  lease: v.string(),
})
export type ImportJob = v.InferOutput<typeof jobSchema>

const errorCode = v.custom<ErrorCode>(isErrorCode)
const progress = v.variant('phase', [
  v.object({ phase: v.literal('importing'), doneBytes: v.number(), totalBytes: v.exactOptional(v.number()) }),
  v.object({ phase: v.literal('unpacking'), done: v.number(), expected: v.number() }),
])

/** A path may have 4,096 bytes; messages of errors are cut, too. What is longer is none of our helper's. */
const text = v.pipe(v.string(), v.maxLength(64 * 1024))

/** What the worker tells; `done`, `program` or `failed` is the last. Short: the shim reads it between the calls that pass through. */
export const reportSchema = v.variant('kind', [
  v.object({ kind: v.literal('progress'), progress }),
  /** The import's lease is gone. */
  v.object({ kind: v.literal('leaseEnded') }),
  /** How the store's files get into snapshots, or why they can't. */
  v.object({ kind: v.literal('linking'), ...linkingReportSchema.entries }),
  /** Wants StoreAnswers of that id, about the path and all that it refers to. */
  v.object({ kind: v.literal('query'), id: v.number(), storePath: text }),
  v.object({
    kind: v.literal('done'),
    image: v.object({ imageId: text, manifestDigest: text, sentBytes: v.number() }),
  }),
  /** The image is what a program writes that has not been run. */
  v.object({
    kind: v.literal('program'),
    program: v.object({
      path: text,
      storePath: text,
      shell: v.object({ path: text, argument: text }),
    }),
  }),
  v.object({ kind: v.literal('failed'), code: errorCode, message: text, stack: v.optional(text) }),
])
export type ImportReport = v.InferOutput<typeof reportSchema>

const storePathInfo = v.object({
  path: v.string(),
  narHash: v.string(),
  narSize: v.number(),
  /** FairGate of other paths in the whole answer. */
  references: v.array(v.number()),
})

/** What the worker is told: to import, to give up, or what Nix knows of store paths. */
export const orderSchema = v.variant('kind', [
  v.object({ kind: v.literal('import'), job: jobSchema }),
  v.object({ kind: v.literal('cancel') }),
  /** A part of the answer, which ends with the last one. */
  v.object({ kind: v.literal('storePaths'), id: v.number(), infos: v.array(storePathInfo), isLast: v.boolean() }),
  v.object({ kind: v.literal('queryFailed'), id: v.number(), code: errorCode, message: v.string() }),
])
export type ImportOrder = v.InferOutput<typeof orderSchema>
