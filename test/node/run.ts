import { execa } from 'execa'
import { PATIENCE_MS } from '../patience.ts'
import type { User } from './user.ts'

/** How a program is run inside a bed. */
export interface RunOptions {
  /** Put over the bed's environment. */
  readonly env?: NodeJS.ProcessEnv
  /** The bed's folder unless told otherwise. */
  readonly cwd?: string
  readonly input?: string | Buffer
  /** Root unless told otherwise. */
  readonly user?: User
  /** Kills the program. */
  readonly signal?: AbortSignal
  /** Of patience.ts unless told otherwise. */
  readonly limitMs?: number
  /** false: a program that fails is an answer, too. */
  readonly reject?: boolean
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  /** Missing when a signal ended it. */
  readonly exitCode?: number
}

interface Place {
  readonly enter: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

/** Runs a program inside and returns what it wrote. Rejects with execa's error when it fails. */
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

/** A change of user forgets the death signal that the prefix has set. */
function asUser(user: User | undefined): string[] {
  if (user === undefined) return []
  const ids = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups']
  return ['setpriv', ...ids, '--pdeathsig', 'KILL', '--']
}
