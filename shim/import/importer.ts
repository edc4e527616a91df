import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Logger } from 'pino'
import { createFairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import type { PackageHints } from '../../recipes/built-package.ts'
import { CRI_NAMESPACE } from '../containerd/services/namespace.ts'
import type { ImportCall, Importer, ImportOutcome, LayerMode, LinkingReport, QueryClosure } from './image/contract.ts'
import { type ImporterIdentity, memoryFolders, viewFolder } from './worker/identity.ts'
import { endLease } from './worker/leases.ts'
import { createLeftLeases } from './worker/left-leases.ts'
import type { ImportJob } from './worker/messages.ts'
import { runWorker } from './worker/run-worker.ts'
import { createWorkers } from './worker/workers.ts'

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
  /** Whether files are linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly queryClosure: QueryClosure
  /** Told with each image how its layers got into containerd without tars, or why they could not. */
  readonly onLinking: (linking: LinkingReport) => void
  readonly identity: ImporterIdentity
  readonly logger: Logger
  /** Imports that run at once; the others wait. With more than one, no namespace has all of them. */
  readonly maxImports?: number
}

/** Each import costs a process of 50 MB, and a processor: with more imports than these nothing is there any sooner. */
const DEFAULT_MAX_IMPORTS = Math.max(2, Math.min(3, availableParallelism()))

/** Imports of one image name run one after another. */
export function createImporter(options: ImporterOptions): Importer {
  const { logger, stateDir, containerd, layers, trustStore, queryClosure, onLinking, identity } = options
  const folders = memoryFolders(stateDir)
  const { maxImports = DEFAULT_MAX_IMPORTS } = options
  const places = createFairGate({ count: maxImports, perOwner: shareOf(maxImports), what: 'import' })
  const shared = {
    containerd: { namespace: CRI_NAMESPACE, ...containerd },
    layers,
    trustStore,
    plansFolder: folders.plans,
    digestsFolder: folders.digests,
    viewFolder: viewFolder(stateDir),
    ...identity,
  }

  const workers = createWorkers()
  const leftLeases = createLeftLeases({ end: lease => endLease(shared.containerd, lease) })

  async function run(call: ImportCall): Promise<ImportOutcome> {
    const { storePath, image } = call
    const log = logger.child({ image, storePath })
    const started = performance.now()
    const lease = `enbi-shim-${randomUUID()}`
    let isLeaseLeft = true
    const { labels, ownedBy, replaceForeign, archive, plainPackage, packageSet, maxImageSize } = call
    const claim = { storePath, image, labels, ownedBy, replaceForeign, maxImageSize }
    const job: ImportJob = {
      ...shared,
      ...claim,
      ...(archive !== undefined && { archive }),
      lease,
      ...(plainPackage && { plainPackage: hints(plainPackage) }),
      ...(packageSet && { packageSet: hints(packageSet) }),
    }
    try {
      const onLeaseEnded = () => {
        isLeaseLeft = false
      }
      const own = { queryClosure, onLinking, onLeaseEnded }
      const outcome = await workers.withWorker(worker => runWorker(worker, job, { ...call, ...own }))
      const said = 'program' in outcome ? 'a program is to be run for the image' : 'imported'
      log.info({ ...outcome, ms: Math.round(performance.now() - started) }, said)
      return outcome
    } catch (err) {
      log.warn({ err, ms: Math.round(performance.now() - started) }, 'import failed')
      throw err
    } finally {
      if (isLeaseLeft) leftLeases.add(lease)
    }
  }

  return { importImage: call => places.run({ ...call, key: call.image }, () => run(call)) }
}

function hints({ mainProgram, imageConfig }: PackageHints): NonNullable<ImportJob['plainPackage']> {
  return { ...(mainProgram !== undefined && { mainProgram }), ...(imageConfig && { imageConfig }) }
}
