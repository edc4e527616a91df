import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { makeStateDir } from '../../../lib/files/make-state-dir.ts'
import { CRI_NAMESPACE } from '../../containerd/services/namespace.ts'
import { type LinkingReport, linkingReportSchema } from '../image/contract.ts'
import { type ImporterIdentity, viewFolder } from './identity.ts'
import type { ImportJob } from './messages.ts'

/** What is tried, and by whom: a part of what an import is given. */
export type LinkingProbe = Pick<
  ImportJob,
  'containerd' | 'viewFolder' | 'trustStore' | 'lease' | 'importer' | 'process'
>

/** The same file, as source or compiled. */
const PROGRAM = fileURLToPath(new URL(`./linking-probe${extname(import.meta.url)}`, import.meta.url))
/** It waits for containerd itself. */
const LIMIT_MS = 15 * 60_000

export interface LinkingCheck {
  readonly containerd: { readonly address: string; readonly snapshotter: string }
  /** Absolute; made when it is not there. */
  readonly stateDir: string
  /** Whether files are linked from a store that is not root's. */
  readonly trustStore: boolean
  readonly identity: ImporterIdentity
  readonly signal: AbortSignal
}

/**
 * Tries it, once containerd answers. In a process of its own: what that loads would stay in the daemon's memory. Undefined when the
 * store has nothing yet to try it with.
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
    viewFolder: viewFolder(stateDir),
    trustStore,
    lease: `enbi-shim-${randomUUID()}`,
    ...identity,
  }
  const options = { timeout: LIMIT_MS, signal }
  const running = promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(probe)], options)
  const { stdout } = await running.catch(error => throwWords(error))
  return v.parse(v.nullable(linkingReportSchema), JSON.parse(stdout)) ?? undefined
}

/** What it says of its failure is better than its command line. */
function throwWords(cause: unknown): never {
  const { stderr } = v.parse(v.object({ stderr: v.optional(v.string(), '') }), cause)
  throw stderr === '' ? cause : new Error(stderr, { cause })
}

/** Logs how layers of store paths get into containerd, whenever that has changed. */
export function createLinkingTeller(logger: Logger): (linking: LinkingReport) => void {
  let told: string | undefined
  return ({ possible, how }) => {
    if (how === told) return
    told = how
    if (possible) logger.info({ how }, 'layers of store paths are linked')
    else logger.warn({ reason: how }, 'layers of store paths cannot be linked: real tars are made of them')
  }
}
