import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Logger } from 'pino'
import { createFairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import { CRI_NAMESPACE, type LayerMode } from '../containerd/services/constants.ts'
import { endLease } from './helper/leases.ts'
import type { ImportJob } from './helper/messages.ts'
import { type ImporterIdentity, importerFolders } from './identity.ts'
import type { ImportCall, Importer, ImportOutcome, LinkingReport, QueryClosure } from './image/contract.ts'
import { createImportHelpers } from './import-helpers.ts'
import { createLeftLeases } from './left-leases.ts'

export interface ImporterOptions {
  readonly containerd: {
    /** Path of containerd's socket. */
    readonly address: string
    readonly snapshotter: string
    readonly namespace?: string
  }
  /** Its folders `plans`, `digests` and `view` are the importer's. */
  readonly stateDir: string
  readonly layers: LayerMode
  /** Whether files may be linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly queryClosure: QueryClosure
  /** Called with each image whose layers could have been linked. */
  readonly onLinking: (linking: LinkingReport) => void
  readonly identity: ImporterIdentity
  readonly logger: Logger
  /** The program of the helpers, by default the one beside this file. */
  readonly helper?: URL | undefined
  /** Concurrent imports; the others are queued. With more than one, no namespace has all of them. */
  readonly maxImports?: number
}

/** Each import needs 50 MB and a processor, so more of them would not finish earlier. */
const DEFAULT_MAX_IMPORTS = Math.max(2, Math.min(3, availableParallelism()))

/**
 * Imports build results, each in a separate process, as anyone may have written what they hold. Imports of one image name run one
 * after another. The process runs helper/run-import.ts, which recognizes the format of the build result. From there a layer gets
 * into containerd by store-layers/commit-snapshots.ts if it consists of store paths, or by archive/import-archive.ts if an archive
 * has its tar.
 */
export function createImporter(options: ImporterOptions): Importer {
  const { logger, queryClosure, onLinking, maxImports = DEFAULT_MAX_IMPORTS } = options
  const gate = createFairGate({ count: maxImports, perOwner: shareOf(maxImports), what: 'import' })
  const containerd = { namespace: CRI_NAMESPACE, ...options.containerd }
  const helpers = createImportHelpers(options.helper)
  const leftLeases = createLeftLeases({ end: lease => endLease(containerd, lease) })

  async function runInHelper(call: ImportCall): Promise<ImportOutcome> {
    const job = toJob(call, { ...options, containerd })
    let isLeaseLeft = true
    const onLeaseEnded = () => {
      isLeaseLeft = false
    }
    try {
      const { signal, onProgress } = call
      return await helpers.runImport(job, { signal, onProgress, queryClosure, onLinking, onLeaseEnded })
    } finally {
      if (isLeaseLeft) leftLeases.add(job.lease)
    }
  }

  return {
    importImage: call => gate.run({ ...call, key: call.image }, () => logged(logger, call, () => runInHelper(call))),
  }
}

function toJob(call: ImportCall, options: ImporterOptions & Pick<ImportJob, 'containerd'>): ImportJob {
  const { storePath, image, labels, ownedBy, replaceForeign, archive, plainPackage, packageSet, maxImageSize } = call
  const { containerd, stateDir, layers, trustStore, identity } = options
  const { digests, plans, view } = importerFolders(stateDir)
  return {
    storePath,
    image,
    labels,
    ownedBy,
    replaceForeign,
    archive,
    plainPackage,
    packageSet,
    maxImageSize,
    containerd,
    layers,
    trustStore,
    plansFolder: plans,
    digestsFolder: digests,
    viewFolder: view,
    importer: identity.importer,
    process: identity.process,
    lease: `enbi-shim-${randomUUID()}`,
  }
}

async function logged(logger: Logger, call: ImportCall, run: () => Promise<ImportOutcome>): Promise<ImportOutcome> {
  const log = logger.child({ image: call.image, storePath: call.storePath })
  const startedAt = performance.now()
  const ms = () => Math.round(performance.now() - startedAt)
  try {
    const outcome = await run()
    log.info({ ...outcome, ms: ms() }, 'program' in outcome ? 'a program must be run for the image' : 'imported')
    return outcome
  } catch (err) {
    log.warn({ err, ms: ms() }, 'import failed')
    throw err
  }
}
