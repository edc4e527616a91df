import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { UNPACKED } from './programs.ts'

/** A mount and pid namespace of its own: a mirror of the machine with its own /nix and /run. */
export interface Namespace extends AsyncDisposable {
  /** Its own temp folder, at the same path inside and outside. Its last part names the namespace's cgroups, too. */
  readonly dir: string
  /** The machine's /proc, as a path inside. */
  readonly hostProc: string
  /** Argument vector prefix that runs a program inside; the program is killed when the prefix's process is. */
  readonly enter: readonly string[]
}

const END_LIMIT_MS = 60_000

/** Needs root. Every process, mount, cgroup and file of it is gone once it is disposed of, or once this process has ended. */
export async function startNamespace(): Promise<Namespace> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-'))
  await chmod(dir, 0o755) // for the unprivileged build user
  const keeper = spawn('sh', [join(import.meta.dirname, 'keeper.sh'), dir, UNPACKED], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const pid = await readReadyPid(keeper.stdout, keeper.stderr).catch(error => {
    keeper.stdin.end()
    throw error
  })
  return {
    dir,
    hostProc: join(dir, 'hostproc'),
    enter: ['nsenter', '--target', pid, '--mount', '--pid', '--', 'setpriv', '--pdeathsig', 'KILL', '--'],
    [Symbol.asyncDispose]: () => end(keeper),
  }
}

async function readReadyPid(stdout: Readable, stderr: Readable): Promise<string> {
  let complaints = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  for await (const line of createInterface(stdout)) {
    const pid = /^ready (\d+)$/.exec(line)?.[1]
    if (pid !== undefined) return pid
  }
  throw new Error(`no private namespace (root is needed): ${complaints.trim()}`)
}

async function end(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return
  const exited = once(keeper, 'exit', { signal: AbortSignal.timeout(END_LIMIT_MS) })
  keeper.stdin?.end()
  await exited
}
