import { lazy } from '../async/lazy.ts'
import { hasCode } from '../error-code.ts'
import { readLines } from '../text/lines.ts'

/** A program, how it is run, and as whom. */
export interface ProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly cwd: string
  /** Missing, both: the program runs as the user of this process. */
  readonly uid?: number
  readonly gid?: number
}

export interface ProcessRun extends ProcessOptions {
  /** Ends the program and everything that it started: by SIGTERM, and by SIGKILL `graceMs` later. */
  readonly signal?: AbortSignal | undefined
  readonly graceMs?: number
  /** The same after this time. */
  readonly timeoutMs?: number
  /** Longest standard output in characters; a program that writes more is ended. */
  readonly maxStdoutLength?: number
  /** Reads standard error: the program waits while this takes long. What it throws ends the program. Missing: nobody reads it. */
  readonly readStderr?: (chunks: AsyncIterable<Uint8Array>) => Promise<void>
  /** Called with the id of the process group. */
  readonly onStart?: (group: number) => void
}

export interface ProcessEnd {
  /** Cut if the program wrote too much. */
  readonly stdout: string
  /** Missing if a signal ended the program, or it wrote too much. */
  readonly exitCode: number | undefined
  readonly killedBy: string | undefined
  readonly timedOut: boolean
}

const MAX_STDOUT_LENGTH = 1024 * 1024

const GRACE_MS = 5_000

/** A process that has left the group may hold a stream open: it is not waited for any longer. */
const DRAIN_LIMIT_MS = 2_000

/**
 * Runs a program to its end, as the leader of a process group of its own. What outlives it in that group is ended. Rejects if the
 * program cannot be started; how it ended is for the caller to judge.
 */
export async function runProcess({ readStderr, onStart, ...run }: ProcessRun): Promise<ProcessEnd> {
  const { maxStdoutLength = MAX_STDOUT_LENGTH, timeoutMs, signal, graceMs = GRACE_MS } = run
  const execa = await loadExeca()
  const subprocess = execa(run.command, run.args, {
    ...groupOptions(run),
    forceKillAfterDelay: graceMs,
    stdin: 'ignore',
    stderr: readStderr ? 'pipe' : 'ignore',
    buffer: { stdout: true, stderr: false },
    maxBuffer: maxStdoutLength,
    stripFinalNewline: false,
    ...(signal && { cancelSignal: signal }),
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  })
  const { nodeChildProcess, pid, stdout, stderr } = subprocess
  let drain: NodeJS.Timeout | undefined
  nodeChildProcess.once('exit', () => {
    subprocess.kill('SIGKILL')
    drain = setTimeout(() => {
      for (const stream of [stdout, stderr]) stream?.destroy()
    }, DRAIN_LIMIT_MS)
  })
  if (pid !== undefined) onStart?.(pid)
  try {
    const [{ exitCode, signal: killedBy, timedOut, isMaxBuffer, cause, stdout }] = await Promise.all([
      subprocess,
      readStderr && stderr && untilClosed(readStderr(stderr)),
    ])
    if (pid === undefined) throw cause
    return { stdout, exitCode: isMaxBuffer ? undefined : exitCode, killedBy, timedOut }
  } catch (error) {
    subprocess.kill('SIGKILL')
    await subprocess
    throw error
  } finally {
    clearTimeout(drain)
  }
}

/** Runs a program that has to succeed, and returns what it wrote. Throws ProcessFailed. */
export async function readOutput(run: Omit<ProcessRun, 'readStderr'>): Promise<string> {
  const words: string[] = []
  const end = await runProcess({
    ...run,
    async readStderr(chunks) {
      for await (const line of readLines(chunks, MAX_WORDS_LENGTH)) if (words.length < MAX_WORDS) words.push(line)
    },
  })
  if (end.exitCode === 0) return end.stdout
  throw new ProcessFailed(run.command, end, words)
}

/** Lines of standard error that an error has, and the characters of each. */
const MAX_WORDS = 5
const MAX_WORDS_LENGTH = 500

export class ProcessFailed extends Error {
  readonly exitCode: number | undefined

  constructor(command: string, { exitCode, killedBy, timedOut }: ProcessEnd, words: readonly string[]) {
    const how = timedOut
      ? 'took too long'
      : (killedBy ?? (exitCode === undefined ? 'wrote too much' : `exit code ${exitCode}`))
    super([`${command} failed (${how})`, ...words].join('\n'))
    this.exitCode = exitCode
  }
}

/** Loaded when the first program is run: it takes some megabytes. */
export const loadExeca = lazy(async () => (await import('execa')).execa)

/** How execa starts a program as the leader of a process group, and ends all of it. */
export function groupOptions({ env, cwd, uid, gid }: Omit<ProcessOptions, 'command' | 'args'>) {
  return {
    env,
    extendEnv: false,
    cwd,
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    killDescendants: true,
    // The owner of a process ends it. Handlers of execa for the end of this process would stay in the way of ours.
    cleanup: false,
    reject: false,
  } as const
}

/** That the stream was closed before its end is no failure: whoever holds it open is not waited for. */
async function untilClosed(reading: Promise<void>): Promise<void> {
  try {
    await reading
  } catch (error) {
    if (!hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  }
}

/** Signals every process of the group that `pid` leads; a group that has ended already is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended already.
  }
}
