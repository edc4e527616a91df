import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { FinalError } from '../../../lib/errors.ts'
import { SYSTEM_PATH } from '../../../lib/process/run-process.ts'
import { gitConfigFile, sshConfigFile } from './user-config.ts'

/** User and environment that nix runs with. */
export interface BuildUser {
  /** If both are missing, nix runs as the user of the shim. */
  readonly uid?: number
  readonly gid?: number
  /** Owned by root: the user can read credentials there, but cannot write. */
  readonly home: string
  /** The whole environment of nix: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
}

export interface BuildUserOptions {
  /** `null`: the user of the shim. Has no effect unless the shim runs as root. */
  readonly name: string | null
  readonly home: string
  /** Becomes XDG_CONFIG_HOME. */
  readonly configHome: string
  readonly env: Readonly<NodeJS.ProcessEnv>
}

/** Options for running a process as that user. */
export function idsOf({ uid, gid }: Pick<BuildUser, 'uid' | 'gid'>): { uid?: number; gid?: number } {
  return uid === undefined || gid === undefined ? {} : { uid, gid }
}

/** Throws BuildUserUnknown. */
export async function resolveBuildUser({ name, home, configHome, env }: BuildUserOptions): Promise<BuildUser> {
  const user = { home, env: buildEnvironment(env, home, configHome) }
  if (name === null || process.getuid?.() !== 0) return user
  const [uid, gid] = await Promise.all([askId('-u', name), askId('-g', name)])
  return { ...user, uid, gid }
}

/** Whether the user's primary group is not one that users share, such as `users`. Throws BuildUserUnknown. */
export async function hasGroupOfItsOwn(name: string): Promise<boolean> {
  return (await runId('-gn', name)) === name
}

async function askId(flag: '-u' | '-g', name: string): Promise<number> {
  return Number.parseInt(await runId(flag, name), 10)
}

async function runId(flag: string, name: string): Promise<string> {
  try {
    // Runs at the start of the shim: `runProcess` would load execa before there is a recipe.
    const { stdout } = await promisify(execFile)('id', [flag, '--', name], {
      env: { PATH: SYSTEM_PATH },
      timeout: ID_LIMIT_MS,
    })
    return stdout.trim()
  } catch (cause) {
    throw new FinalError(
      'BuildUserUnknown',
      `there is no user ${JSON.stringify(name)} to run nix as: create it, or set nix.user in the config to another one`,
      { cause },
    )
  }
}

/** A user database on the network may be slow. */
const ID_LIMIT_MS = 10_000

/** Variables that nix needs. All others, which may be secrets, are not passed on. */
const PASSED_ON = [
  /^PATH$/,
  /^NIX_(?!(?:CACHE|CONFIG|DATA|STATE)_HOME$)/,
  /^(?:LANG|LANGUAGE|LC_\w+|TZ|LOCALE_ARCHIVE|TMPDIR)$/,
  /^(?:https?|ftp|all|no)_proxy$/i,
  /^(?:SSL_CERT_FILE|SSL_CERT_DIR|CURL_CA_BUNDLE|GIT_SSL_CAINFO)$/,
]

/** PATH of nix if the shim itself has none. */
const DEFAULT_PATH = '/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/local/bin:/usr/bin:/bin'

function buildEnvironment(env: Readonly<NodeJS.ProcessEnv>, home: string, configHome: string): Record<string, string> {
  const passed = Object.entries(env).flatMap(([key, value]): [string, string][] =>
    value !== undefined && PASSED_ON.some(pattern => pattern.test(key)) ? [[key, value]] : [],
  )
  return {
    PATH: DEFAULT_PATH,
    ...Object.fromEntries(passed),
    HOME: home,
    // Does not exist: caches that are kept have a folder for each source.
    XDG_CACHE_HOME: `${home}/.cache`,
    XDG_CONFIG_HOME: configHome,
    XDG_DATA_HOME: `${home}/.local/share`,
    XDG_STATE_HOME: `${home}/.local/state`,
    ...gitEnvironment(configHome),
    NIX_SSHOPTS: `-F ${sshConfigFile(configHome)} -oBatchMode=yes`,
  }
}

/** For commands that read or write stores: with the variable for git, `file` URLs would be those of read-only servers. */
export function forStores(user: BuildUser): BuildUser {
  const { _NIX_FORCE_HTTP: _, ...env } = user.env
  return { ...user, env }
}

function gitEnvironment(configHome: string): Record<string, string> {
  return {
    // Makes nix 2.8 clone local repositories: otherwise git would work in the repository itself, with its settings, which can name
    // programs. (All versions support this variable.)
    _NIX_FORCE_HTTP: '1',
    // A repository could otherwise make git fetch from another one.
    GIT_NO_LAZY_FETCH: '1',
    // Otherwise anyone who can push to refs/replace/ could choose the content of a commit.
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: gitConfigFile(configHome),
    GIT_SSH_COMMAND: `ssh -F ${shellQuote(sshConfigFile(configHome))} -oBatchMode=yes`,
    // Nobody can answer prompts.
    GIT_TERMINAL_PROMPT: '0',
  }
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
