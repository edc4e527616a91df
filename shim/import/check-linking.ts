import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { makeStateDir } from '../../lib/files/own-files.ts'
import { CRI_NAMESPACE } from '../containerd/services/constants.ts'
import { LINKING_PROBE, type LinkingProbe } from './helper/messages.ts'
import { type ImporterIdentity, importerFolders } from './identity.ts'
import { type LinkingReport, linkingReportSchema } from './image/contract.ts'

/** The probe itself waits for containerd. */
const LIMIT_MS = 15 * 60_000

export interface LinkingCheck {
  readonly containerd: { readonly address: string; readonly snapshotter: string }
  /** Absolute; created if it does not exist. */
  readonly stateDir: string
  /** Whether files may be linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly identity: ImporterIdentity
  readonly signal: AbortSignal
}

/**
 * Tries whether layers can be linked, once containerd answers. A separate process does it, since the modules would stay in the
 * daemon's memory. Undefined if the store has nothing to try it with yet.
 */
export async function checkLinking({
  containerd,
  stateDir,
  trustStore,
  identity,
  signal,
}: LinkingCheck): Promise<LinkingReport | undefined> {
  await makeStateDir(stateDir)
  const probe: LinkingProbe = {
    containerd: { ...containerd, namespace: CRI_NAMESPACE },
    viewFolder: importerFolders(stateDir).view,
    trustStore,
    lease: `enbi-shim-${randomUUID()}`,
    ...identity,
  }
  const options = { timeout: LIMIT_MS, signal }
  const running = promisify(execFile)(process.execPath, [fileURLToPath(LINKING_PROBE), JSON.stringify(probe)], options)
  const { stdout } = await running.catch(error => throwMessage(error))
  return v.parse(v.nullable(linkingReportSchema), JSON.parse(stdout)) ?? undefined
}

/** Its own message explains a failure better than its command line. */
function throwMessage(cause: unknown): never {
  const { stderr } = v.parse(v.object({ stderr: v.optional(v.string(), '') }), cause)
  throw stderr === '' ? cause : new Error(stderr, { cause })
}

/** Logs how layers of store paths get into containerd, whenever that changes. */
export function createLinkingLogger(logger: Logger): (linking: LinkingReport) => void {
  let logged: string | undefined
  return ({ possible, isCopied, how }) => {
    if (how === logged) return
    logged = how
    if (possible) logger[isCopied ? 'warn' : 'info']({ how }, 'layers of store paths are linked')
    else logger.warn({ reason: how }, 'layers of store paths cannot be linked: real tars are made of them')
  }
}
