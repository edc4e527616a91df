import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listProcesses, type ProcessInfo } from './processes.ts'

/** The shim that runs on this machine. */
export async function findShim(proc: string): Promise<ProcessInfo | undefined> {
  return (await listProcesses(proc)).find(isShim)
}

function isShim({ args }: ProcessInfo): boolean {
  const serve = args.indexOf('serve')
  return serve > 0 && /(^|\/)(enbi-shim|shim\/main\.(js|ts))$/.test(args[serve - 1] ?? '')
}

/** The shim's PATH and Nix settings, which may differ from those of a shell. Empty if they are not readable. */
export async function shimEnvironment(proc: string): Promise<Record<string, string>> {
  const shim = await findShim(proc)
  if (!shim) return {}
  const text = await readFile(join(proc, String(shim.pid), 'environ'), 'utf8').catch(() => '')
  const pairs = text.split('\0').map(pair => /^(PATH|NIX_[A-Z_]+)=(.*)$/s.exec(pair))
  return Object.fromEntries(pairs.flatMap(pair => (pair?.[1] === undefined ? [] : [[pair[1], pair[2] ?? '']])))
}
