import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { CRI_NAMESPACE } from '../containerd/namespace.ts'
import { createPlaces, shareOf } from '../places.ts'
import type { ImportCall, ImportedImage, Importer, LayerMode, PackageHints, QueryStore } from './contract.ts'
import type { ImporterIdentity } from './identity.ts'
import type { ImportJob } from './job.ts'
import { createLeftLeases } from './left-leases.ts'
import type { LinkingReport } from './linking-report.ts'
import { memoryFolders } from './memory-folders.ts'
import { runWorker } from './run-worker.ts'
import type { ScriptUser } from './stream-script.ts'
import { viewFolder } from './view-folder.ts'
import { createWorkers } from './workers.ts'

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
  readonly queryStore: QueryStore
  /** Told with each image how its layers got into containerd without tars, or why they could not. */
  readonly onLinking: (linking: LinkingReport) => void
  readonly identity: ImporterIdentity
  /** Whom stream scripts run as. */
  readonly buildUser: ScriptUser
  readonly logger: Logger
  /** Imports that run at once; the others wait. With more than one, no namespace has all of them. */
  readonly maxImports?: number
}

/** Each import costs a thread and its buffers, and containerd is the one that is busy. */
const DEFAULT_MAX_IMPORTS = 3

/** Imports of one image name run one after another. */
export function createImporter(options: ImporterOptions): Importer {
  const { logger, stateDir, containerd, layers, queryStore, buildUser, onLinking, identity } = options
  const folders = memoryFolders(stateDir)
  const { maxImports = DEFAULT_MAX_IMPORTS } = options
  const places = createPlaces({ count: maxImports, perOwner: shareOf(maxImports), what: 'import' })
  const shared = {
    containerd: { namespace: CRI_NAMESPACE, ...containerd },
    layers,
    plansFolder: folders.plans,
    digestsFolder: folders.digests,
    viewFolder: viewFolder(stateDir),
    ...identity,
    scriptUser: scriptUser(buildUser),
  }

  const workers = createWorkers()
  const leftLeases = createLeftLeases()

  async function run(call: ImportCall): Promise<ImportedImage> {
    const { storePath, image } = call
    const log = logger.child({ image, storePath })
    const started = performance.now()
    const lease = `enbi-shim-${randomUUID()}`
    const staleLeases = leftLeases.ids()
    const { labels, ownedBy, replaceForeign, runsPrograms, plainPackage, maxImageSize } = call
    const claim = { storePath, image, labels, ownedBy, replaceForeign, runsPrograms, maxImageSize }
    const job: ImportJob = {
      ...shared,
      ...claim,
      lease,
      staleLeases,
      ...(plainPackage && { plainPackage: hints(plainPackage) }),
    }
    try {
      const own = { queryStore, onLinking, onStaleLeasesEnded: () => leftLeases.ended(staleLeases) }
      const imported = await workers.withWorker(worker => runWorker(worker, job, { ...call, ...own }))
      log.info({ ...imported, ms: Math.round(performance.now() - started) }, 'imported')
      return imported
    } catch (err) {
      leftLeases.failed(lease, err)
      log.warn({ err, ms: Math.round(performance.now() - started) }, 'import failed')
      throw err
    }
  }

  return { importImage: call => places.run({ ...call, key: call.image }, () => run(call)) }
}

function hints({ mainProgram, imageConfig }: PackageHints): NonNullable<ImportJob['plainPackage']> {
  return { ...(mainProgram !== undefined && { mainProgram }), ...(imageConfig && { imageConfig }) }
}

/** Only what a thread can be given. */
function scriptUser({ uid, gid, env }: ScriptUser): ImportJob['scriptUser'] {
  return { env: { ...env }, ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }
}
