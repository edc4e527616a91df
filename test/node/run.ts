import { execa } from 'execa'
import { PATIENCE_MS } from '../patience.ts'
import type { User } from './user.ts'

/** Options for a program that runs inside a bed. */
export interface RunOptions {
  /** Overrides variables of the bed's environment. */
  readonly env?: NodeJS.ProcessEnv
  /** By default the bed's folder. */
  readonly cwd?: string
  readonly input?: string | Buffer
  /** By default root. */
  readonly user?: User
  /** Kills the program when it aborts. */
  readonly signal?: AbortSignal
  /** By default the limit of patience.ts. */
  readonly limitMs?: number
  /** With false, a failure of the program does not reject. */
  readonly reject?: boolean
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  /** Missing if a signal ended the program. */
  readonly exitCode?: number
}

interface Place {
  readonly enter: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

/** Runs a program inside and returns its output. Rejects with execa's error if it fails. */
export async function runInside(
  place: Place,
  command: string,
  args: readonly string[],
  { env = {}, cwd = place.cwd, input, user, signal, limitMs = PATIENCE_MS, reject = true }: RunOptions,
): Promise<RunResult> {
  const [program = '', ...prefix] = [...place.enter, ...asUser(user), 'env', '-C', cwd]
  const { stdout, stderr, exitCode } = await execa(program, [...prefix, command, ...args], {
    env: { ...place.env, ...env },
    extendEnv: false,
    timeout: limitMs,
    reject,
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  })
  return { stdout, stderr, ...(exitCode === undefined ? {} : { exitCode }) }
}

/** A change of the user clears the death signal that the prefix has set. */
function asUser(user: User | undefined): string[] {
  if (user === undefined) return []
  const ids = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups']
  return ['setpriv', ...ids, '--pdeathsig', 'KILL', '--']
}
