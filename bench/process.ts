import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bed } from '../test/node/bed.ts'
import { descendants } from '../test/node/process-tree.ts'
import type { Shim } from '../test/node/shim.ts'
import { askStatus, latencies } from './calls.ts'

const CALLS_BEFORE_REST = 200

/** Resident memory of the shim's process after calls for an image that has no recipe. */
export async function megabytesAtRest(bed: Bed, shim: Shim): Promise<number> {
  await latencies(askStatus(bed.cri(shim.socket), 'registry.example/absent:1'), CALLS_BEFORE_REST)
  return await residentMegabytes(shim.daemon.pid, 'VmRSS')
}

/** `VmRSS`: current; `VmHWM`: peak; `RssAnon`: current, without files (proc(5)). */
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

/** Processor time that the process has used. */
export async function cpuMs(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) * TICK_MS
}

/** Resident memory of the shim's process, plus what its helpers do not share with it. The controller has no helpers. */
export async function shimMegabytes({ daemon: { pid = 0 } }: Pick<Shim, 'daemon'>): Promise<number> {
  const helpers = descendants(pid).filter(isHelper)
  const own = await Promise.all(helpers.map(helper => residentMegabytes(helper, 'RssAnon').catch(() => 0)))
  return own.reduce((sum, megabytes) => sum + megabytes, await residentMegabytes(pid, 'VmRSS'))
}

/** Resolves when no helper process is left. */
export async function untilNoHelper(shim: Shim): Promise<void> {
  while (descendants(shim.daemon.pid ?? 0).some(isHelper)) await delay(SAMPLE_MS)
}

/** Whether the process is a helper of the shim and not nix. */
function isHelper(pid: number): boolean {
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return program.endsWith('node') && args.some(arg => /helper\.[jt]s$/.test(arg))
  } catch {
    return false // the process has ended
  }
}

const SAMPLE_MS = 50

/** Peak of `shimMegabytes` until the promise resolves. */
export async function peakUntil(shim: Shim, end: Promise<unknown>): Promise<number> {
  let isOver = false
  const over = end.finally(() => {
    isOver = true
  })
  let most = 0
  while (!isOver) {
    most = Math.max(most, await shimMegabytes(shim))
    await delay(SAMPLE_MS)
  }
  await over
  return most
}
