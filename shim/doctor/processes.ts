import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface ProcessInfo {
  readonly pid: number
  /** The command line, the program first. */
  readonly args: readonly string[]
}

/** Every process that can be seen below `/proc`. */
export async function listProcesses(proc: string): Promise<ProcessInfo[]> {
  const names = (await readdir(proc)).filter(name => /^\d+$/.test(name))
  const all = await Promise.all(names.map(name => readProcess(proc, name)))
  return all.filter(({ args }) => args.length > 0)
}

/** It may have ended meanwhile; threads of the kernel have no command line. */
async function readProcess(proc: string, name: string): Promise<ProcessInfo> {
  const line = await readFile(join(proc, name, 'cmdline'), 'utf8').catch(() => '')
  return { pid: Number(name), args: line.split('\0').slice(0, -1) }
}
