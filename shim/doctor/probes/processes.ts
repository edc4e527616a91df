import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface ProcessInfo {
  readonly pid: number
  /** The command line, program first. */
  readonly args: readonly string[]
}

/** Every process that is visible below `/proc`. */
export async function listProcesses(proc: string): Promise<ProcessInfo[]> {
  const names = (await readdir(proc)).filter(name => /^\d+$/.test(name))
  const all = await Promise.all(names.map(name => readProcess(proc, name)))
  return all.filter(({ args }) => args.length > 0)
}

/** The process may have ended in the meantime. Kernel threads have no command line. */
async function readProcess(proc: string, name: string): Promise<ProcessInfo> {
  const line = await readFile(join(proc, name, 'cmdline'), 'utf8').catch(() => '')
  return { pid: Number(name), args: line.split('\0').slice(0, -1) }
}

/** The kernel's unit of time in `/proc`, on every Linux. */
const TICKS_PER_SECOND = 100

/** When a process was started, in milliseconds since 1970, to a few hundredths of a second. Source: proc(5). */
export async function startedAt(proc: string, pid: number): Promise<number> {
  const [stat, uptime] = [
    await readFile(join(proc, String(pid), 'stat'), 'utf8'),
    await readFile(join(proc, 'uptime'), 'utf8'),
  ]
  // The name in field 2 may hold spaces and parentheses; the time since boot is field 22.
  const started = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) / TICKS_PER_SECOND
  return Date.now() - (Number.parseFloat(uptime) - started) * 1000
}

/** Only root sees all, and can become the build user. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}
