import { existsSync, realpathSync } from 'node:fs'
import { lazy } from '../../lazy.ts'
import { type Check, type Finding, failed, ok, skipped, warning } from '../finding.ts'
import { listProcesses } from '../processes.ts'
import { findKubelet } from './find-kubelet.ts'
import type { K3sFiles } from './k3s.ts'
import { type KubeletSettings, readKubeletConfig } from './settings.ts'

export interface KubeletPlace {
  /** A KubeletConfiguration; without one that of the running kubelet is found. */
  readonly configFile?: string | undefined
  /** `/proc` */
  readonly proc: string
  readonly k3sFiles?: K3sFiles
}

/** Whether the kubelet pulls through the shim, and several images at once. */
export function checkKubelet(listen: string, { configFile, proc, k3sFiles }: KubeletPlace): Check[] {
  const settings = lazy(async () =>
    configFile === undefined ? findKubelet(await listProcesses(proc), k3sFiles) : readKubeletConfig(configFile),
  )
  const judge = (name: string, look: (settings: KubeletSettings) => Finding, missing: Finding): Check => ({
    name,
    look: async () => {
      const found = await settings()
      return found ? look(found) : missing
    },
  })
  return [
    judge('kubelet', found => judgeEndpoint(found, listen), NONE),
    judge('image pulls', judgePulls, skipped('no kubelet runs here')),
  ]
}

const NONE = warning('no kubelet and no k3s runs here', 'start it, or name its config by --kubelet-config')

function judgeEndpoint(settings: KubeletSettings, listen: string): Finding {
  const { imageServiceEndpoint, source, isK3s, flagsHidden } = settings
  const wanted = `unix://${listen}`
  const key = isK3s ? 'image-service-endpoint' : 'imageServiceEndpoint'
  const wayOut = `set ${key}: ${wanted} in ${source}, and restart ${isK3s ? 'k3s' : 'the kubelet'}`
  if (imageServiceEndpoint === undefined && flagsHidden)
    return warning(
      `${source} has no ${key}, and k3s does not show its flags`,
      `see that it is started with --${key}=${wanted}, or ${wayOut}`,
    )
  if (imageServiceEndpoint === undefined)
    return failed(`the kubelet pulls past the shim: ${source} has no ${key}`, wayOut)
  if (isSame(imageServiceEndpoint.replace(/^unix:(\/\/)?/, ''), listen))
    return ok(`it pulls through ${imageServiceEndpoint}`)
  return failed(`the kubelet pulls through ${imageServiceEndpoint}, and the shim listens at ${listen}`, wayOut)
}

/** `/var/run` is a link to `/run`, say. */
function isSame(one: string, other: string): boolean {
  return one === other || (existsSync(one) && existsSync(other) && realpathSync(one) === realpathSync(other))
}

function judgePulls(settings: KubeletSettings): Finding {
  const { serializeImagePulls, maxParallelImagePulls, source, isK3s } = settings
  if (!serializeImagePulls)
    return ok(maxParallelImagePulls === undefined ? 'as many at once as there are' : `${maxParallelImagePulls} at once`)
  const keys = isK3s
    ? 'kubelet-arg: [serialize-image-pulls=false]'
    : 'serializeImagePulls: false and maxParallelImagePulls: 8'
  return warning(
    'the kubelet pulls one image after the other: each build holds up all other pods of the node',
    `set ${keys} in ${source}`,
  )
}
