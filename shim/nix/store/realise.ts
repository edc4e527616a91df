import * as v from 'valibot'
import { RetryableError, ShimError } from '../../../lib/errors.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import type { StorePathRecipe } from '../../../recipes/recipe.ts'
import { isStorePath } from '../../../recipes/store-path.ts'
import type { Derivation } from '../evaluate/derivation.ts'
import { createNixLogReader } from '../log/nix-log.ts'
import { type NixOptions, nixFlags, type OnGroup, runNix } from '../process/run-nix.ts'
import type { BuildUser } from '../user/build-user.ts'
import { storePathSchema } from './path-info.ts'

const resultSchema = v.tuple([v.object({ outputs: v.record(v.string(), v.nullable(storePathSchema)) })])

/** Arguments of nix that build the derivation and keep the result with a gc root. */
export function realisationArgs(derivation: Derivation, link: string): string[] {
  return ['build', '--json', installable(derivation), '--out-link', link]
}

/** Arguments of nix that fetch a store path, unless it is already there. */
export function fetchArgs({ storePath }: Pick<StorePathRecipe, 'storePath'>, link: string): string[] {
  return ['build', storePath, '--out-link', link]
}

/** `what` names the package in the message. Throws BuildInterrupted if the output is invalid. */
export function readRealisation(what: string, output: string, stdout: string): string {
  try {
    const [{ outputs }] = v.parse(resultSchema, JSON.parse(stdout))
    return v.parse(storePathSchema, outputs[output])
  } catch {
    throw new RetryableError('BuildInterrupted', `nix gave an unexpected answer about the build of ${what}`)
  }
}

/** Before 2.13 the path of a derivation stands for all of its outputs; later it stands for itself. */
function installable({ drvPath, output, nixVersion }: Derivation): string {
  return isOlder(nixVersion, '2.13') ? drvPath : `${drvPath}^${output}`
}

/** Most paths that are named. */
const MAX_PATHS = 5
const LIMIT_MS = 20_000

interface MissingSetup {
  readonly user: BuildUser
  readonly nix: NixOptions
  readonly onGroup?: OnGroup | undefined
}

/**
 * Adds to the error of a fetch the paths that are nowhere available. Nix only names the requested path, although a binary cache may
 * have that path and lack one of its references.
 */
export async function addMissingPaths(
  { nix, user, onGroup }: MissingSetup,
  { storePath }: StorePathRecipe,
  error: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof ShimError) || error.code !== 'StorePathMissing') return error
  const reader = createMissingReader()
  await runNix({
    command: nix.command,
    args: ['build', storePath, '--dry-run', ...nixFlags(nix)],
    user,
    signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]),
    onGroup,
    onLine: async line => reader.read(line),
  }).catch(() => {})
  const missing = reader.paths.filter(path => path !== storePath)
  if (missing.length === 0) return error
  return new RetryableError('StorePathMissing', `${error.message}\nmissing: ${missing.join(', ')}`, { cause: error })
}

/** Nix prints its plan as lists; that of unavailable paths is the last one. */
function createMissingReader() {
  const readNixLog = createNixLogReader()
  const paths: string[] = []
  let inList = false
  return {
    paths,
    read(line: string): void {
      const entry = readNixLog(line)
      if (entry?.phase !== 'message') return
      if (entry.text.includes('know how to build these paths')) inList = true
      else if (inList && isStorePath(entry.text) && paths.length < MAX_PATHS) paths.push(entry.text)
    },
  }
}
