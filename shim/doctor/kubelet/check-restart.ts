import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Check, ok, skipped, warning } from '../probes/finding.ts'
import { listProcesses, type ProcessInfo, startedAt } from '../probes/processes.ts'
import { isKubelet, kubeletProcess } from './find-kubelet.ts'
import { K3S_FILES } from './k3s.ts'
import { namesIn, parseFlags } from './settings.ts'

/** A file written just before the start does not count as changed. */
const INACCURATE_MS = 1000

/** Whether the running kubelet has read the current versions of its files: it reads them only when it starts. */
export function checkRestart(proc: string): Check {
  return {
    name: 'kubelet restart',
    async look() {
      const process = kubeletProcess(await listProcesses(proc))
      if (!process) return skipped('no kubelet is running')
      const start = await startedAt(proc, process.pid)
      const changes = await Promise.all(
        (await filesOf(process)).map(async file => ({ file, at: await changedAt(file) })),
      )
      const late = changes.filter(({ at }) => at > start + INACCURATE_MS).map(({ file }) => file)
      if (late.length === 0) return ok('its files have not changed since it was started')
      const what = isKubelet(process) ? 'the kubelet' : 'k3s'
      return warning(`${late.join(', ')} has changed since ${what} was started`, `restart ${what}`)
    },
  }
}

async function filesOf(process: ProcessInfo): Promise<string[]> {
  if (!isKubelet(process)) return [K3S_FILES.config]
  const flags = parseFlags(process.args)
  const folder = flags.get('config-dir')?.at(-1)
  const dropIns = folder === undefined ? [] : (await namesIn(folder)).map(name => join(folder, name))
  return [...(flags.get('config')?.slice(-1) ?? []), ...dropIns]
}

/** In milliseconds since 1970. A missing file has not changed. */
async function changedAt(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.mtimeMs ?? 0
}
