import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describeSize } from '../../lib/text/units.ts'
import { type Check, ok, skipped, warning } from './probes/finding.ts'
import { findShim } from './probes/processes.ts'

/** nix evaluates in a child process of the shim, and a large flake takes this much. */
const LEAST_MEMORY = 2 * 1024 ** 3

/** The memory limit of the running shim, which includes nix evaluations. */
export function checkCgroup(proc: string, cgroups = '/sys/fs/cgroup'): Check {
  return {
    name: 'cgroup',
    async look() {
      const shim = await findShim(proc)
      if (!shim) return skipped('no shim is running')
      const group = parseCgroup(await readFile(join(proc, String(shim.pid), 'cgroup'), 'utf8'))
      if (!group) return skipped('the shim is not in a cgroup that can limit memory')
      const limit = await lowestLimit(join(cgroups, group.root), group)
      if (limit >= LEAST_MEMORY)
        return ok(`${group.version}, ${limit === Infinity ? 'no limit' : `${describeSize(limit)} of memory`}`)
      return warning(
        `${group.version}, the shim is limited to ${describeSize(limit)} of memory, and evaluating a large flake needs more`,
        `raise MemoryMax of the service to ${describeSize(LEAST_MEMORY)} or more`,
      )
    },
  }
}

export interface CgroupPlace {
  readonly version: 'cgroup v1' | 'cgroup v2'
  /** Root of the hierarchy, below `/sys/fs/cgroup`. */
  readonly root: string
  readonly path: string
  readonly file: string
}

/** Finds the cgroup that limits a process's memory in its `/proc/PID/cgroup`. Source: cgroups(7). */
export function parseCgroup(text: string): CgroupPlace | undefined {
  const lines = text.split('\n').map(line => /^\d+:([^:]*):(.*)$/.exec(line))
  const memory = lines.find(line => line?.[1]?.split(',').includes('memory'))
  if (memory) return { version: 'cgroup v1', root: 'memory', path: memory[2] ?? '/', file: 'memory.limit_in_bytes' }
  const unified = lines.find(line => line?.[1] === '')
  return unified ? { version: 'cgroup v2', root: '', path: unified[2] ?? '/', file: 'memory.max' } : undefined
}

/** The lowest limit of the cgroup and all cgroups above it. */
async function lowestLimit(root: string, { path, file }: CgroupPlace): Promise<number> {
  let least = Infinity
  for (let folder = path; ; folder = dirname(folder)) {
    const text = await readFile(join(root, folder, file), 'utf8').catch(() => '')
    const limit = Number(text.trim() || 'max')
    if (limit < Math.min(least, UNLIMITED)) least = limit
    if (folder === '/') return least
  }
}

/** cgroup v1 writes a number near 2^63 if there is no limit. */
const UNLIMITED = 2 ** 60
