import { readdirSync, readFileSync } from 'node:fs'

/** Sends SIGKILL to a process and all its descendants. Parents get it first, so that they start no new children. */
export function killTree(pid: number): void {
  for (const member of [pid, ...descendants(pid)]) sendKill(member)
}

/** The descendants of a process, children before grandchildren. */
export function descendants(pid: number): number[] {
  const parents = new Map(processes().map(id => [id, parentOf(id)]))
  const found = [pid]
  for (const ancestor of found) {
    for (const [id, parent] of parents) if (parent === ancestor) found.push(id)
  }
  return found.slice(1)
}

export function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger)
}

/** Field 4 of /proc/PID/stat. The name in field 2 may contain spaces and parentheses. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined // it has ended meanwhile
  }
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has ended meanwhile.
  }
}
