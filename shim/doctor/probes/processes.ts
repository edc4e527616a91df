import { readdir, readFile, readlink, stat } from 'node:fs/promises'
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

/**
 * The shim that runs on this machine. Everybody can start a process that looks like one, also in a pod, so it must be
 * root's or of this user: doctor runs programs from its PATH.
 */
export async function findShim(proc: string): Promise<ProcessInfo | undefined> {
  for (const process of (await listProcesses(proc)).filter(isShim))
    if (await isOfMachine(proc, process.pid)) return process
  return undefined
}

function isShim({ args }: ProcessInfo): boolean {
  const serve = args.indexOf('serve')
  return serve > 0 && /(^|\/)(enbi-shim|shim\/main\.(js|ts))$/.test(args[serve - 1] ?? '')
}

async function isOfMachine(proc: string, pid: number): Promise<boolean> {
  const folder = join(proc, String(pid))
  try {
    const { uid } = await stat(folder)
    if (uid !== 0 && uid !== process.getuid?.()) return false
    // Only root can read these links of root's processes, and their environment.
    if (!isRoot() && uid === 0) return true
    const [own, its] = [await readlink(join(proc, 'self/ns/pid')), await readlink(join(folder, 'ns/pid'))]
    // Root of a container is not root of the machine.
    if (own !== its) return false
    // Users choose the arguments and the environment of a setuid program.
    return ((await stat(join(folder, 'exe'))).mode & SETUID) === 0
  } catch {
    // It has ended.
    return false
  }
}

const SETUID = 0o4000

/** The shim's PATH and Nix settings, which may differ from those of a shell. Empty if they are not readable. */
export async function shimEnvironment(proc: string): Promise<Record<string, string>> {
  const shim = await findShim(proc)
  if (!shim) return {}
  const text = await readFile(join(proc, String(shim.pid), 'environ'), 'utf8').catch(() => '')
  const pairs = text.split('\0').map(pair => /^(PATH|NIX_[A-Z_]+)=(.*)$/s.exec(pair))
  return Object.fromEntries(pairs.flatMap(pair => (pair?.[1] === undefined ? [] : [[pair[1], pair[2] ?? '']])))
}
