import { existsSync, realpathSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { lazy } from '../../../lib/async/lazy.ts'
import { messageOf } from '../../../lib/errors.ts'
import { type Check, type Finding, failed, ok, skipped, warning } from '../probes/finding.ts'
import { listProcesses, type ProcessInfo, startedAt } from '../probes/processes.ts'
import { findKubelet, isKubelet, kubeletProcess, otherKubelet } from './find-kubelet.ts'
import { K3S_FILES, type K3sFiles } from './k3s.ts'
import { type Distribution, type KubeletSettings, namesIn, parseFlags, readKubeletConfig } from './settings.ts'

export interface KubeletPlace {
  /** A KubeletConfiguration. By default, that of the running kubelet. */
  readonly configFile?: string | undefined
  readonly proc: string
  readonly k3sFiles?: K3sFiles
}

/** Whether the kubelet pulls through the shim, and several images concurrently. */
export function checkKubelet(listen: string, { configFile, proc, k3sFiles }: KubeletPlace): Check[] {
  const processes = lazy(() => listProcesses(proc))
  const settings = lazy(async () => {
    if (configFile !== undefined) return readKubeletConfig(configFile)
    return findKubelet(await processes(), k3sFiles).catch((error: unknown) => messageOf(error))
  })
  const judge = (
    name: string,
    look: (settings: KubeletSettings) => Finding,
    otherwise: (problem: string | undefined) => Finding | Promise<Finding>,
  ): Check => ({
    name,
    look: async () => {
      const found = await settings()
      return found === undefined || typeof found === 'string' ? otherwise(found) : look(found)
    },
  })
  const unknown = async (problem: string | undefined) =>
    problem === undefined ? judgeNone(otherKubelet(await processes()), listen) : judgeUnreadable(problem)
  return [
    judge('kubelet', found => judgeEndpoint(found, listen), unknown),
    judge('image pulls', judgePulls, () => skipped('the settings of the kubelet are unknown')),
  ]
}

const NAME_IT = 'pass a path to its KubeletConfiguration that works here: --kubelet-config FILE'

/** Known kubelets: a process called kubelet, as with kubeadm, NixOS, RKE2 and k0s, and k3s. */
function judgeNone(other: Distribution | undefined, listen: string): Finding {
  if (other)
    return warning(
      `${other.name} runs its kubelet inside another program, whose settings doctor does not read`,
      `make sure that it has ${other.place(flagsFor(listen))}`,
    )
  return warning('neither a kubelet nor k3s is running', `start it; if it runs under another name, ${NAME_IT}`)
}

/** A kubelet in its own container, as with Talos, has its files elsewhere. */
function judgeUnreadable(problem: string): Finding {
  return warning(`the settings of the running kubelet cannot be read: ${problem}`, NAME_IT)
}

function flagsFor(listen: string): string[] {
  return [`image-service-endpoint=unix://${listen}`, 'serialize-image-pulls=false']
}

function judgeEndpoint(settings: KubeletSettings, listen: string): Finding {
  const { imageServiceEndpoint, source, isK3s, flagsHidden, distribution } = settings
  const wanted = `unix://${listen}`
  const key = isK3s ? 'image-service-endpoint' : 'imageServiceEndpoint'
  const wayOut = distribution
    ? `${distribution.name} writes its kubelet's files: set ${distribution.place(flagsFor(listen))}`
    : `set ${key}: ${wanted} in ${source}, and restart ${isK3s ? 'k3s' : 'the kubelet'}`
  if (imageServiceEndpoint === undefined && flagsHidden)
    return warning(
      `${source} has no ${key}, and k3s does not show its flags`,
      `make sure that it is started with --${key}=${wanted}, or ${wayOut}`,
    )
  if (imageServiceEndpoint === undefined)
    return failed(`the kubelet bypasses the shim: ${source} has no ${key}`, wayOut)
  if (isSame(imageServiceEndpoint.replace(/^unix:(\/\/)?/, ''), listen))
    return ok(`it pulls through ${imageServiceEndpoint}`)
  return failed(`the kubelet pulls through ${imageServiceEndpoint}, but the shim listens at ${listen}`, wayOut)
}

/** `/var/run` may be a link to `/run`, for example. */
function isSame(one: string, other: string): boolean {
  return one === other || (existsSync(one) && existsSync(other) && realpathSync(one) === realpathSync(other))
}

function judgePulls(settings: KubeletSettings): Finding {
  const { serializeImagePulls, maxParallelImagePulls, source, isK3s, distribution } = settings
  if (!serializeImagePulls)
    return maxParallelImagePulls === undefined ? ok('in parallel, without a limit') : judgeLimit(settings)
  const keys = isK3s ? 'kubelet-arg: [serialize-image-pulls=false]' : 'serializeImagePulls: false'
  return warning(
    'the kubelet pulls images one by one: each build delays all other pods of the node',
    distribution ? `set ${distribution.place(['serialize-image-pulls=false'])}` : `set ${keys} in ${source}`,
  )
}

function judgeLimit({ maxParallelImagePulls, source, isK3s, distribution }: KubeletSettings): Finding {
  const restart = isK3s ? 'k3s' : 'the kubelet'
  return warning(
    `maxParallelImagePulls is ${maxParallelImagePulls}: builds that run or wait hold the kubelet's places for pulls, and so many of them stop every other pull of the node`,
    distribution
      ? `remove maxParallelImagePulls from the kubelet configuration of ${distribution.name}; nix.maxBuilds limits the builds`
      : `remove maxParallelImagePulls from ${source}, and restart ${restart}; nix.maxBuilds limits the builds`,
  )
}

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
