import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** `VmRSS` is now, `VmHWM` the most there ever was, `RssAnon` what is backed by no file (proc(5)). */
export async function residentMegabytes(
  pid: number | undefined,
  field: 'VmRSS' | 'VmHWM' | 'RssAnon',
): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`no ${field} of process ${pid}`)
  return (Number(kibibytes) * 1024) / 1e6
}

/** Linux counts in hundredths of a second (proc(5)). */
const TICK_MS = 10

/** What the process has used of the processors. */
export async function cpuMs(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) * TICK_MS
}

/** Whether it is a process of the shim's own program, and no nix. */
export function isOurs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('helper')
  } catch {
    return false // it has ended meanwhile
  }
}
