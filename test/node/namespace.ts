import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { PATIENCE_MS } from '../patience.ts'
import { UNPACKED } from './programs.ts'

/** A mount and process namespace that mirrors the machine with its own /nix and /run. */
export interface Namespace extends AsyncDisposable {
  /**
   * The temp folder, which has the same path inside and outside. Its name is also the name of the namespace's cgroups.
   */
  readonly dir: string
  /** Path of the machine's /proc inside. */
  readonly hostProc: string
  /** Argument vector prefix that runs a program inside. The program is killed together with the prefix's process. */
  readonly enter: readonly string[]
}

export interface NamespaceOptions {
  /** Makes /nix a disk of this size, such as `300m`. */
  readonly storeDisk?: string | undefined
}

/** Needs root. Its processes, mounts, cgroups and files are removed when it is disposed of or this process ends. */
export async function startNamespace({ storeDisk = '' }: NamespaceOptions = {}): Promise<Namespace> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-'))
  await chmod(dir, 0o755) // for the unprivileged build user
  const keeper = spawn('sh', [join(import.meta.dirname, 'keeper.sh'), dir, UNPACKED, storeDisk], {
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
  const exited = once(keeper, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) })
  keeper.stdin?.end()
  await exited
}
