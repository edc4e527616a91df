import { basename } from 'node:path'
import { type Calls, createClient } from '../../lib/grpc/client.ts'
import { hasStatus } from '../../lib/grpc/grpc-error.ts'
import { loadService } from '../../lib/grpc/service.ts'
import { STATUS } from '../../lib/grpc/status.ts'
import { isOlder } from '../../lib/text/versions.ts'
import type { RuntimeServiceDefinition } from '../../protos/generated/runtime/v1/RuntimeService.ts'
import type { Config } from '../config/config.ts'
import { IMAGE_SERVICE } from '../wire/cri.ts'
import { type Check, failed, ok, warning } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'

const RUNTIME_SERVICE = loadService<RuntimeServiceDefinition>('cri.proto', 'runtime.v1.RuntimeService')

const OLDEST = '1.6'
const START = 'start containerd, or set containerd.address (for k3s: /run/k3s/containerd/containerd.sock)'

/** containerd's version, CRI plugin and snapshotter. */
export function checkContainerd({ address, snapshotter }: Config['containerd']): Check {
  return {
    name: 'containerd',
    async look(signal) {
      const problem = await probeSocket(address, START)
      if (problem) return problem
      const answer = await askContainerd(address, signal).catch(unlessNoCri)
      if (answer === undefined)
        return failed(
          'containerd runs without its CRI plugin',
          'remove cri from disabled_plugins in its config, and restart it',
        )
      const { version, imageFolder } = answer
      if (isOlder(version, OLDEST))
        return failed(`containerd ${version} is too old`, `upgrade it to ${OLDEST} or newer`)
      const used = imageFolder && snapshotterOf(imageFolder)
      if (used && used !== snapshotter)
        return failed(
          `CRI's snapshotter is ${used}, but the config has ${snapshotter}: images would exist twice, or be missing`,
          `set containerd.snapshotter: ${used}`,
        )
      return used
        ? ok(`containerd ${version} with ${snapshotter} answers at ${address}`)
        : warning(`containerd ${version} does not report its snapshotter`, 'compare it with containerd.snapshotter')
    },
  }
}

function unlessNoCri(error: unknown): undefined {
  if (!hasStatus(error, STATUS.UNIMPLEMENTED)) throw error
}

const PASS_ON = 'configure it to pass calls to containerd, not to the shim'
/** A proxy that passes calls back to the shim never answers. */
const LIMIT_MS = 5000

/** If another image service stands between the shim and containerd: whether it answers, and for the same containerd. */
export function checkImageService({ address, imageService }: Config['containerd']): Check[] {
  if (imageService === undefined) return []
  return [
    {
      name: 'image service',
      async look(signal) {
        const problem = await probeSocket(imageService, 'start it, or remove containerd.imageService from the config')
        if (problem) return problem
        const limit = AbortSignal.timeout(LIMIT_MS)
        const folder = await askImageFolder(imageService, AbortSignal.any([signal, limit])).catch(error => {
          if (!limit.aborted) throw error
        })
        if (limit.aborted) return failed(`the image service at ${imageService} does not answer`, PASS_ON)
        const expected = (await askContainerd(address, signal)).imageFolder
        if (folder === expected) return ok(`the image service answers at ${imageService}, for the same containerd`)
        return failed(
          `the image service at ${imageService} keeps images in ${folder}, but containerd in ${expected}`,
          PASS_ON,
        )
      },
    },
  ]
}

/** `imageFolder` is where the snapshotter keeps images. Throws a GrpcError. */
export async function askContainerd(address: string, signal: AbortSignal) {
  using client = createClient(address, { signal })
  const { runtimeVersion } = await client.unary(RUNTIME_SERVICE.Version, {})
  return { version: runtimeVersion.replace(/^v/, ''), imageFolder: await imageFolder(client) }
}

/** The folder where an image service keeps its images. Throws a GrpcError. */
async function askImageFolder(address: string, signal: AbortSignal): Promise<string | undefined> {
  using client = createClient(address, { signal })
  return await imageFolder(client)
}

async function imageFolder(calls: Calls): Promise<string | undefined> {
  const { imageFilesystems } = await calls.unary(IMAGE_SERVICE.ImageFsInfo, {})
  return imageFilesystems[0]?.fsId?.mountpoint
}

/** `/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs` */
function snapshotterOf(folder: string): string | undefined {
  return /^io\.containerd\.snapshotter\.v\d+\.(.+)$/.exec(basename(folder))?.[1]
}
