import { basename } from 'node:path'
import * as v from 'valibot'
import { FinalError, RetryableError, ShimError } from '../../../lib/errors.ts'
import type { ImageProgram } from '../../../recipes/built-package.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import { hostSystem } from '../../../recipes/system.ts'
import { storePathSchema } from '../store/path-info.ts'
import { fetchArgs, readRealisation } from '../store/realise.ts'
import { archiveKey } from '../store/results.ts'
import { type NixRunCall, type NixSession, type NixSetup, withNix } from './nix-session.ts'
import { nothingBuilt } from './shared-path.ts'

export interface ProgramCall extends NixRunCall {
  readonly recipe: Recipe
  /** This node builds nothing, so it runs no program. */
  readonly fetchOnly: boolean
}

/**
 * Lets Nix run a program as the builder of a derivation, in the sandbox of builds, and returns the store path of what it wrote.
 * Nix does not run it again if the output exists. Throws the build codes, StreamFailed, and NothingBuilt.
 */
export async function runProgram(
  setup: NixSetup,
  program: ImageProgram,
  { recipe, fetchOnly, ...call }: ProgramCall,
): Promise<string> {
  const link = await setup.results.prepareLink(archiveKey(recipe))
  const run = withNix(setup, { recipe, what: 'run of a program' }, call, async session => {
    const { runId, onProgress, nix } = session
    onProgress({ phase: 'evaluating', runId })
    if (fetchOnly) return { storePath: await fetchArchive(recipe, program, link, session) }
    return { storePath: readRealisation(program.path, 'out', await nix('building', programArgs(program, link))) }
  })
  const { storePath } = await run.catch(error => throwStreamFailed(error))
  return storePath
}

/**
 * A constant: all outside values are arguments. The package becomes an input through a string context, which pure evaluation
 * allows; the program sees only the package's closure. The shell only redirects, the kernel starts the program.
 */
const DERIVATION = `{ name, system, shell, argument, package, program }: derivation {
  inherit name system program;
  builder = shell;
  args = (if argument == "" then [ ] else [ argument ]) ++ [ "-c" "exec \\"$program\\" > \\"$out\\"" ];
  package = builtins.appendContext package { \${package}.path = true; };
  LANG = "C.UTF-8";
  allowSubstitutes = false;
  preferLocalBuild = true;
}`

function programArgs(program: ImageProgram, link: string): string[] {
  return ['build', '--json', ...derivationArgs(program), '--out-link', link]
}

/** The archive may be in the store, or in a binary cache of nix.conf. */
async function fetchArchive(recipe: Recipe, program: ImageProgram, link: string, { nix }: NixSession): Promise<string> {
  const stdout = await nix('evaluating', ['eval', '--json', ...derivationArgs(program), 'outPath'])
  const storePath = readArchivePath(program, stdout)
  try {
    await nix('building', fetchArgs({ storePath }, link))
    return storePath
  } catch (error) {
    if (!(error instanceof ShimError) || error.code !== 'StorePathMissing') throw error
    throw nothingBuilt(recipe, 'it is a program that writes the image, and the archive is nowhere yet')
  }
}

function readArchivePath({ path }: ImageProgram, stdout: string): string {
  try {
    return v.parse(storePathSchema, JSON.parse(stdout))
  } catch {
    throw new RetryableError('BuildInterrupted', `nix gave an unexpected answer about the archive of ${path}`)
  }
}

function derivationArgs({ path: program, storePath, shell }: ImageProgram): string[] {
  const { path, argument } = shell
  const name = archiveName(storePath)
  const given = { name, system: hostSystem(), shell: path, argument, package: storePath, program }
  const args = Object.entries(given).flatMap(([parameter, value]) => ['--argstr', parameter, value])
  return ['--expr', DERIVATION, ...args]
}

const HASH_LENGTH = 32
/** Short enough for Nix with the suffix. */
const MAX_NAME_LENGTH = 200

function archiveName(storePath: string): string {
  return `${basename(storePath).slice(HASH_LENGTH + 1, HASH_LENGTH + 1 + MAX_NAME_LENGTH)}-archive`
}

function throwStreamFailed(cause: unknown): never {
  if (!(cause instanceof ShimError) || cause.code !== 'BuilderFailed') throw cause
  const message = `the package is a program that writes the image, and when Nix ran it, it failed: ${cause.message}`
  throw new FinalError('StreamFailed', message, { cause })
}
