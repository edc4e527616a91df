import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { CRI_NAMESPACE } from '../containerd/records.ts'
import type { ImportCall, ImportedImage, Importer } from './contract.ts'
import type { ImportJob } from './job.ts'
import { createLeftLeases } from './left-leases.ts'
import { runWorker } from './run-worker.ts'
import type { ScriptUser } from './stream-script.ts'
import { createTurns } from './turns.ts'

export interface ImporterOptions {
  readonly containerd: {
    /** Path of containerd's socket. */
    readonly address: string
    readonly snapshotter: string
    readonly namespace?: string
  }
  /** Its folder `plans` is the importer's. */
  readonly stateDir: string
  /** Whom stream scripts run as. */
  readonly buildUser: ScriptUser
  readonly logger: Logger
  /** Imports that run at once; the others wait in order. */
  readonly maxImports?: number
}

/** Each import costs a thread and its buffers, and containerd is the one that is busy. */
const DEFAULT_MAX_IMPORTS = 2

/** Imports of one image name run one after another. */
export function createImporter(options: ImporterOptions): Importer {
  const { logger, stateDir, containerd, buildUser, maxImports = DEFAULT_MAX_IMPORTS } = options
  const turns = createTurns(maxImports)
  const shared = {
    containerd: { namespace: CRI_NAMESPACE, ...containerd },
    plansFolder: join(stateDir, 'plans'),
    importer: createHash('sha256').update(stateDir).digest('hex'),
    process: randomUUID(),
    scriptUser: scriptUser(buildUser),
  }

  const leftLeases = createLeftLeases()

  async function run(call: ImportCall): Promise<ImportedImage> {
    const { storePath, image } = call
    const log = logger.child({ image, storePath })
    const started = performance.now()
    const lease = `enbi-shim-${randomUUID()}`
    const staleLeases = leftLeases.ids()
    const { labels, ownedBy, replaceForeign } = call
    const job: ImportJob = { ...shared, storePath, image, labels, ownedBy, replaceForeign, lease, staleLeases }
    try {
      const imported = await runWorker(job, { ...call, onStaleLeasesEnded: () => leftLeases.ended(staleLeases) })
      log.info({ ...imported, ms: Math.round(performance.now() - started) }, 'imported')
      return imported
    } catch (err) {
      leftLeases.failed(lease, err)
      log.warn({ err, ms: Math.round(performance.now() - started) }, 'import failed')
      throw err
    }
  }

  return { importImage: call => turns.take(call.image, call.signal, () => run(call)) }
}

/** Only what a thread can be given. */
function scriptUser({ uid, gid, env }: ScriptUser): ImportJob['scriptUser'] {
  return { env: { ...env }, ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }
}
