import { extname } from 'node:path'
import * as v from 'valibot'
import { type ErrorCode, isErrorCode } from '../../../lib/errors.ts'
import { imageProgramSchema, packageHintsSchema } from '../../../recipes/built-package.ts'
import { LAYER_MODES } from '../../containerd/services/constants.ts'
import { importedImageSchema, importProgressSchema, linkingReportSchema } from '../image/contract.ts'

// What the daemon and its import helpers send each other, in both directions.

/** The helper's program, as source or compiled. */
export const IMPORT_HELPER = programFile('import-helper')
/** The program that tries whether layers can be linked. */
export const LINKING_PROBE = programFile('linking-probe')

function programFile(name: string): URL {
  return new URL(`./${name}${extname(import.meta.url)}`, import.meta.url)
}

/** One import. */
export const jobSchema = v.object({
  storePath: v.string(),
  image: v.string(),
  labels: v.record(v.string(), v.string()),
  ownedBy: v.string(),
  replaceForeign: v.boolean(),
  containerd: v.object({ address: v.string(), namespace: v.string(), snapshotter: v.string() }),
  /** Folder of the image cache. */
  plansFolder: v.string(),
  /** Folder of the digest cache. */
  digestsFolder: v.string(),
  /** Prefix of folders that are made for a mount. */
  viewFolder: v.string(),
  layers: v.picklist(LAYER_MODES),
  /** Whether files may be linked from a store that is not root's. */
  trustStore: v.boolean(),
  archive: v.optional(v.string()),
  plainPackage: v.optional(packageHintsSchema),
  packageSet: v.optional(packageHintsSchema),
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

/** What the probe needs of a job. */
export const probeSchema = v.pick(jobSchema, ['containerd', 'viewFolder', 'trustStore', 'lease', 'importer', 'process'])
export type LinkingProbe = v.InferOutput<typeof probeSchema>

const errorCode = v.custom<ErrorCode>(isErrorCode)
/** Messages of errors are cut; a longer text did not come from the helper's own code. */
const text = v.pipe(v.string(), v.maxLength(64 * 1024))

/** Helper to daemon; `done`, `program` or `failed` is the last. Short: the daemon parses them on the thread that passes calls on. */
export const reportSchema = v.variant('kind', [
  v.object({ kind: v.literal('progress'), progress: importProgressSchema }),
  /** The import's lease is gone. */
  v.object({ kind: v.literal('leaseEnded') }),
  v.object({ kind: v.literal('linking'), ...linkingReportSchema.entries }),
  /** Asks for the closure of a store path. The answer is `storePaths` in several parts, or `queryFailed`, with the same id. */
  v.object({ kind: v.literal('query'), id: v.number(), storePath: text }),
  v.object({ kind: v.literal('done'), image: importedImageSchema }),
  /** The image is what a program writes that has not been run. */
  v.object({ kind: v.literal('program'), program: imageProgramSchema }),
  v.object({ kind: v.literal('failed'), code: errorCode, message: text, stack: v.optional(text) }),
])
export type ImportReport = v.InferOutput<typeof reportSchema>

const pathInfo = v.object({
  path: v.string(),
  narHash: v.string(),
  narSize: v.number(),
  /** Indexes of other paths in the whole answer. */
  references: v.array(v.number()),
})

/** Daemon to helper, during a job: answers to its queries. */
export const messageSchema = v.variant('kind', [
  v.object({ kind: v.literal('storePaths'), id: v.number(), infos: v.array(pathInfo), isLast: v.boolean() }),
  v.object({ kind: v.literal('queryFailed'), id: v.number(), code: errorCode, message: v.string() }),
])
export type ImportMessage = v.InferOutput<typeof messageSchema>
