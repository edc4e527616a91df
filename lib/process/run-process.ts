import { lazy } from '../async/lazy.ts'
import { hasCode } from '../error-code.ts'
import { readLines } from '../text/lines.ts'

/** Folders that only root can write. In the folders of our own PATH, others might choose what root runs. */
export const SYSTEM_PATH = '/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A program, and the user and environment it runs with. */
export interface ProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly cwd: string
  /** If both are missing, the program runs as the user of this process. */
  readonly uid?: number
  readonly gid?: number
}

export interface ProcessRun extends ProcessOptions {
  /** Ends the program and everything that it started: by SIGTERM, and by SIGKILL `graceMs` later. */
  readonly signal?: AbortSignal | undefined
  readonly graceMs?: number
  /** Ends it in the same way after this time. */
  readonly timeoutMs?: number
  /** Limit of standard output, in characters. The rest is read and dropped: if the program were ended, it would report the kill. */
  readonly maxStdoutLength?: number
  /** Reads standard error with back-pressure. An exception ends the program. If missing, standard error is discarded. */
  readonly readStderr?: (chunks: AsyncIterable<Uint8Array>) => Promise<void>
  /** Called with the id of the process group, which is that of the program. */
  readonly onStart?: (group: number) => void
}

export interface ProcessEnd {
  /** Truncated at the limit. */
  readonly stdout: string
  /** Undefined if a signal ended the program, or if its output was truncated. */
  readonly exitCode: number | undefined
  readonly killedBy: string | undefined
  readonly timedOut: boolean
}

const MAX_STDOUT_LENGTH = 1024 * 1024

const GRACE_MS = 5_000

/** A process that left the group may hold a stream open. The wait for it ends after this time. */
const DRAIN_LIMIT_MS = 2_000

/**
 * Runs a program as the leader of its own process group, and kills what is left of the group when the program ends. Rejects if the
 * program cannot be started; the caller decides what its exit code means.
 */
export async function runProcess({ readStderr, onStart, ...run }: ProcessRun): Promise<ProcessEnd> {
  const { maxStdoutLength = MAX_STDOUT_LENGTH, timeoutMs, signal, graceMs = GRACE_MS } = run
  const execa = await loadExeca()
  const subprocess = execa(run.command, run.args, {
    ...groupOptions(run),
    forceKillAfterDelay: graceMs,
    stdin: 'ignore',
    stderr: readStderr ? 'pipe' : 'ignore',
    buffer: false,
    ...(signal && { cancelSignal: signal }),
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  })
  const { nodeChildProcess, pid, stdout, stderr } = subprocess
  const output = createOutput(maxStdoutLength)
  let drain: NodeJS.Timeout | undefined
  nodeChildProcess.once('exit', () => {
    subprocess.kill('SIGKILL')
    drain = setTimeout(() => {
      for (const stream of [stdout, stderr]) stream?.destroy()
    }, DRAIN_LIMIT_MS)
  })
  if (pid !== undefined) onStart?.(pid)
  try {
    const [{ exitCode, signal: killedBy, timedOut, cause }] = await Promise.all([
      subprocess,
      untilClosed(output.read(stdout)),
      readStderr && stderr && untilClosed(readStderr(stderr)),
    ])
    if (pid === undefined) throw cause
    const { text, isTruncated } = output.end()
    return { stdout: text, exitCode: isTruncated ? undefined : exitCode, killedBy, timedOut }
  } catch (error) {
    subprocess.kill('SIGKILL')
    await subprocess
    throw error
  } finally {
    clearTimeout(drain)
  }
}

/** Runs a program and returns its standard output. Throws ProcessFailed unless it exits with 0. */
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

/** Lines of standard error that become part of the error, and their length. */
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

/** Loaded when the first program runs, because it takes a few megabytes. */
export const loadExeca = lazy(async () => (await import('execa')).execa)

/** Options of execa for a program that leads a process group. */
export function groupOptions({ env, cwd, uid, gid }: Omit<ProcessOptions, 'command' | 'args'>) {
  return {
    env,
    extendEnv: false,
    cwd,
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    killDescendants: true,
    // Each process has an owner that ends it. The signal handlers of execa would interfere with ours.
    cleanup: false,
    reject: false,
  } as const
}

/** Collects text up to a limit. What was read before the stream was closed is kept. */
function createOutput(maxLength: number) {
  const decoder = new TextDecoder()
  let text = ''
  return {
    async read(chunks: AsyncIterable<Uint8Array>): Promise<void> {
      for await (const chunk of chunks) if (text.length <= maxLength) text += decoder.decode(chunk, { stream: true })
    },
    end: () => ({ text: text.slice(0, maxLength), isTruncated: text.length > maxLength }),
  }
}

/** Ignores that the stream was closed early, which happens if another process still holds it open. */
async function untilClosed(reading: Promise<void>): Promise<void> {
  try {
    await reading
  } catch (error) {
    if (!hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  }
}

/** Signals every process of the group that `pid` leads. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group has already ended.
  }
}
