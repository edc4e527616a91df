import type { Config } from '../config/config.ts'
import { askContainerd, askImageFolder } from './check-containerd.ts'
import { type Check, failed, ok } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'

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
