import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { hasCode } from '../error-code.ts'
import { FinalError, messageOf } from '../errors.ts'
import { signalGroup } from '../process-group.ts'

/** Whom programs out of the Nix store run as. */
export interface ScriptUser {
  /** Without ids they run as the shim does. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
}

export interface ScriptRun {
  readonly user: ScriptUser
  readonly signal: AbortSignal
  /** Told the process group, which is the script's own. */
  readonly onStart: (pid: number) => void
  /** The script has ended, and its process group with it. */
  readonly onEnd: () => void
}

/**
 * Runs a stream script without a shell and yields what it writes, as fast as that is taken. The script and whatever of
 * its process group is left are killed when the reader stops early or the signal is aborted, which takes effect at once.
 * Throws StreamFailed with the script's last words.
 */
export async function* runStreamScript(path: string, run: ScriptRun): AsyncGenerator<Buffer> {
  const { user, signal, onStart, onEnd } = run
  signal.throwIfAborted()
  const script = spawn(path, [], {
    cwd: '/',
    env: user.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user.uid !== undefined && { uid: user.uid }),
    ...(user.gid !== undefined && { gid: user.gid }),
  })
  const end = watchEnd(script)
  const lastWords = keepTail(script.stderr)
  const giveUp = () => endNow(script)
  signal.addEventListener('abort', giveUp)
  try {
    if (script.pid !== undefined) onStart(script.pid)
    yield* readWithLimits(script)
    const how = await end
    signal.throwIfAborted()
    if (how !== undefined) throw failed(how, lastWords())
  } finally {
    signal.removeEventListener('abort', giveUp)
    giveUp()
    await end
    onEnd()
  }
}

type Script = ChildProcessByStdio<null, Readable, Readable>

/** What a script started may outlive it, and have its ends of the pipes: silence is waited for this long then. */
const DRAIN_LIMIT_MS = 5_000

/** Resolves to how the script failed, or to nothing, once its pipes are closed as well. */
function watchEnd(script: Script): Promise<string | undefined> {
  return new Promise(resolve => {
    let timer: NodeJS.Timeout | undefined
    script.on('exit', () => {
      timer = setTimeout(() => script.stderr.destroy(), DRAIN_LIMIT_MS)
    })
    script.on('close', () => clearTimeout(timer))
    script.on('error', error => resolve(`cannot be started: ${messageOf(error)}`))
    script.on('close', (code, signal) => {
      if (code === 0) resolve(undefined)
      else resolve(signal ? `was ended by ${signal}` : `ended with exit code ${code}`)
    })
  })
}

const TAIL_BYTES = 4 * 1024
const TAIL_LINES = 20

/** Reads to the end and keeps the last lines. */
function keepTail(stderr: NodeJS.ReadableStream): () => string {
  let tail = Buffer.alloc(0)
  stderr.on('data', (chunk: Buffer) => {
    tail = Buffer.from(Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES))
  })
  return () => tail.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
}

/** A script that writes nothing for this long, though somebody reads, is stuck. */
const IDLE_LIMIT_MS = 10 * 60_000

async function* readWithLimits(script: Script): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = script.stdout[Symbol.asyncIterator]()
  for (;;) {
    const stopWatching = limitSilence(script)
    const next = await chunks.next().catch(unlessClosed).finally(stopWatching)
    if (!next || next.done) return
    yield next.value
  }
}

/**
 * For one read. A script that has ended is not taken for the end of its output: a shell's `exec > >(gzip)` goes on
 * writing after the shell has gone.
 */
function limitSilence(script: Script): () => void {
  let timer = setTimeout(() => killGroup(script), IDLE_LIMIT_MS)
  const onExit = () => {
    clearTimeout(timer)
    timer = setTimeout(() => script.stdout.destroy(), DRAIN_LIMIT_MS)
  }
  if (script.exitCode !== null || script.signalCode !== null) onExit()
  else script.once('exit', onExit)
  return () => {
    clearTimeout(timer)
    script.off('exit', onExit)
  }
}

/** That the pipe was closed on our side ends the output and is no failure. */
function unlessClosed(error: unknown): undefined {
  if (!hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error
}

/** What has left the process group may keep its ends of the pipes: nobody waits for it. */
function endNow(script: Script): void {
  killGroup(script)
  script.stdout.destroy()
  script.stderr.destroy()
}

function killGroup({ pid }: Script): void {
  if (pid !== undefined) signalGroup(pid, 'SIGKILL')
}

function failed(how: string, lastWords: string): FinalError {
  return new FinalError('StreamFailed', `the package's stream script ${how}${lastWords && `:\n${lastWords}`}`)
}
