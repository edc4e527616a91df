import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { lazy } from '../../../lib/async/lazy.ts'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf } from '../../../lib/errors.ts'
import type { Config } from '../../config/config.ts'
import { type NixConfig, readNixConfig } from '../../nix/process/nix-config.ts'
import { type BuildUser, idsOf, resolveBuildUser } from '../../nix/user/build-user.ts'
import { foldersOf } from '../../nix/user/state-dir.ts'
import { shimEnvironment } from '../probes/processes.ts'
import type { NixAnswer } from './sandbox.ts'

export interface NixCheckOptions {
  /** Fallback for the environment of the running shim. */
  readonly env: NodeJS.ProcessEnv
  readonly proc: string
}

/** Nix as the shim will run it. */
export interface NixOfShim {
  /** `problem`: why it is another user than that of the config. */
  user(): Promise<BuildUser & { readonly problem: string | undefined }>
  run(args: readonly string[], signal: AbortSignal, env?: BuildUser['env']): Promise<NixAnswer>
  /** Undefined if nix does not tell. */
  settings(signal: AbortSignal): Promise<NixConfig | undefined>
}

export function createNixOfShim(
  { stateDir, nix }: Pick<Config, 'stateDir' | 'nix'>,
  options: NixCheckOptions,
): NixOfShim {
  const { home, config } = foldersOf(stateDir)
  const user = lazy(async () => {
    const env = { ...options.env, ...(await shimEnvironment(options.proc)) }
    const ofNix = { home, configHome: config, env }
    const found = await resolveBuildUser({ name: nix.user, ...ofNix }).catch((error: unknown) => messageOf(error))
    if (typeof found !== 'string') return { ...found, problem: undefined }
    // Whether nix is installed can be checked without the user.
    return { ...(await resolveBuildUser({ name: null, ...ofNix })), problem: found }
  })
  return {
    user,
    async run(args, signal, env) {
      const as = await user()
      return runNix(nix.command, args, { ...as, env: { ...as.env, ...env } }, signal)
    },
    // Before the first start of the shim its home does not exist.
    settings: async signal =>
      readNixConfig({ nix, user: { ...(await user()), home: '/' }, signal }).catch(() => undefined),
  }
}

/** As the shim does, regardless of nix.conf. */
export const USE_FEATURES = ['--extra-experimental-features', 'nix-command flakes']

/** In bytes. */
const MAX_OUTPUT = 32 * 1024 * 1024

async function runNix(
  command: string,
  args: readonly string[],
  user: BuildUser,
  signal: AbortSignal,
): Promise<NixAnswer> {
  try {
    const { stdout } = await promisify(execFile)(command, [...args], {
      ...idsOf(user),
      env: user.env,
      cwd: '/',
      maxBuffer: MAX_OUTPUT,
      signal,
    })
    return { stdout: stdout.trim() }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { problem: `there is no program ${command}`, log: '' }
    return { problem: lastLine(error), log: logOf(error) }
  }
}

/** Nix reports the error in its last lines. */
function lastLine(error: unknown): string {
  return logOf(error).trim().split('\n').at(-1)?.trim() || messageOf(error)
}

function logOf(error: unknown): string {
  return error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
}
