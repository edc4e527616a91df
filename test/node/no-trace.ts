import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'vitest'

/** Fails if the machine still has files, processes, mounts or cgroups of the namespace with this folder. */
export function expectNoTrace(dir: string): void {
  expect(existsSync(dir)).toBe(false)
  expect(commandLines().filter(line => line.includes(dir))).toEqual([])
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(dir)
  const cgroups = ['', ...readdirSync('/sys/fs/cgroup')].map(part => join('/sys/fs/cgroup', part, basename(dir)))
  expect(cgroups.filter(path => existsSync(path))).toEqual([])
}

function commandLines(): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(readCommandLine)
}

function readCommandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}
