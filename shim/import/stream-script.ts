import { type ChildProcess, spawn } from 'node:child_process'
import { FinalError, messageOf } from '../errors.ts'

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
}

/**
 * Runs a stream script without a shell and yields what it writes, as fast as that is taken. The script and whatever it
 * started are killed when the reader stops early or the signal is aborted. Throws StreamFailed with the script's last words.
 */
export async function* runStreamScript(path: string, { user, signal, onStart }: ScriptRun): AsyncGenerator<Buffer> {
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
  const kill = () => killGroup(script)
  signal.addEventListener('abort', kill)
  try {
    if (script.pid !== undefined) onStart(script.pid)
    yield* withIdleLimit(script.stdout, kill)
    const how = await end
    signal.throwIfAborted()
    if (how !== undefined) throw failed(how, lastWords())
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await end
  }
}

/** Resolves to how the script failed, or to nothing. */
function watchEnd(script: ChildProcess): Promise<string | undefined> {
  return new Promise(resolve => {
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

async function* withIdleLimit(stdout: AsyncIterable<Buffer>, kill: () => void): AsyncGenerator<Buffer> {
  const iterator = stdout[Symbol.asyncIterator]()
  for (;;) {
    const timer = setTimeout(kill, IDLE_LIMIT_MS)
    const next = await iterator.next().finally(() => clearTimeout(timer))
    if (next.done) return
    yield next.value
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended already.
  }
}

function failed(how: string, lastWords: string): FinalError {
  return new FinalError('StreamFailed', `the package's stream script ${how}${lastWords && `:\n${lastWords}`}`)
}
