import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PATIENCE_MS } from '../patience.ts'
import type { CriClient, Sandbox } from './cri.ts'

export interface Pod {
  /** The image as the kubelet passes it: an id from PullImage, or a name. */
  readonly imageId: string
  /** By default the image's command. */
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly namespace?: string
}

export interface PodResult {
  /** stdout and stderr from the runtime's log. */
  readonly output: string
  readonly exitCode: number
}

const POLL_MS = 25

/** Runs an image as a pod with one container on the host's network. Waits for its end and removes it. */
export async function runPod(cri: CriClient, pod: Pod, beddir: string): Promise<PodResult> {
  const uid = randomUUID()
  const logDirectory = join(beddir, 'pods', uid)
  await mkdir(logDirectory, { recursive: true })
  // The folder's name marks the cgroups for removal together with the bed.
  const cgroupParent = `/${basename(beddir)}`
  const sandbox = { name: `pod-${uid}`, namespace: pod.namespace ?? 'default', uid, logDirectory, cgroupParent }
  const sandboxId = await cri.runPodSandbox(sandbox)
  try {
    const exitCode = await runContainer(cri, pod, sandboxId, sandbox)
    return { output: parseLog(await readFile(join(logDirectory, LOG_NAME), 'utf8')), exitCode }
  } finally {
    await cri.stopPodSandbox(sandboxId)
    await cri.removePodSandbox(sandboxId)
  }
}

const LOG_NAME = 'container.log'

async function runContainer(cri: CriClient, pod: Pod, sandboxId: string, sandbox: Sandbox): Promise<number> {
  const { imageId, command = [], args = [] } = pod
  const container = { name: 'main', image: imageId, command, args, logPath: LOG_NAME }
  const id = await cri.createContainer(sandboxId, sandbox, container)
  await cri.startContainer(id)
  const limit = AbortSignal.timeout(PATIENCE_MS)
  for (;;) {
    const { state, exitCode } = await cri.containerStatus(id)
    if (state === 'CONTAINER_EXITED') return exitCode
    await delay(POLL_MS, undefined, { signal: limit })
  }
}

/** Lines have CRI's form: time, stream, `F`ull or `P`artial, text. */
function parseLog(log: string): string {
  return log.replace(/^\S+ (?:stdout|stderr) ([FP]) (.*)\n/gm, (_, kind, text) => (kind === 'F' ? `${text}\n` : text))
}
