import type { GrpcClient } from '../../lib/grpc/client.ts'
import { isOlder } from '../../lib/text/versions.ts'
import { domainOf } from '../../recipes/reference.ts'
import type { Config } from '../config/config.ts'
import { connectContainerd } from '../containerd/connect.ts'
import { digestName, SOURCE_LABEL, withoutDoubles } from '../containerd/mirrors.ts'
import { blobInfo } from '../containerd/services/content.ts'
import { getImage, type ImageRecord, imagesWithLabel } from '../containerd/services/images.ts'
import { isOfTars } from '../containerd/usable.ts'
import { RECIPE_LABEL } from '../pull/image-of-recipe.ts'
import { askContainerd } from './check-containerd.ts'
import { findContainerdConfig } from './containerd-config.ts'
import { type Check, type Finding, ok, skipped, warning } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'

/** Older ones do not label what they pull with its source. */
const OLDEST = '2.1'

export interface MirrorCheckOptions {
  readonly proc: string
}

/** Whether mirrors such as Spegel can serve the images of this node. No check while layers are linked. */
export function checkMirrors(
  { containerd: { address }, import: { layers } }: Pick<Config, 'containerd' | 'import'>,
  { proc }: MirrorCheckOptions,
): Check[] {
  if (layers !== 'tar') return []
  return [
    {
      name: 'mirrors',
      async look(signal) {
        if (await probeSocket(address, '')) return skipped('containerd does not answer')
        return await judgeContainerd(await askContainerd(address, signal), { address, proc })
      },
    },
    {
      name: 'mirrored images',
      async look(signal) {
        if (await probeSocket(address, '')) return skipped('containerd does not answer')
        using client = connectContainerd({ address }, signal)
        return await judgeImages(client)
      },
    },
  ]
}

async function judgeContainerd(
  { version }: { readonly version: string },
  { address, proc }: MirrorCheckOptions & { readonly address: string },
): Promise<Finding> {
  if (isOlder(version, OLDEST))
    return warning(`Spegel needs containerd ${OLDEST}, this is ${version}`, `upgrade containerd to ${OLDEST} or newer`)
  const config = await findContainerdConfig(proc, address)
  if (config === undefined)
    return skipped(`containerd ${version}, but its config cannot be read: is discard_unpacked_layers false there?`)
  if (/^\s*discard_unpacked_layers\s*=\s*true/m.test(config.text))
    return warning(
      'containerd discards the layers of the images that it pulls, so mirrors have none to serve',
      `set discard_unpacked_layers = false in ${config.file} or in what it imports, and restart containerd`,
    )
  return ok(`containerd ${version} keeps the layers of images`)
}

/** Each costs two calls of containerd. */
const MAX_IMAGES = 200

async function judgeImages(client: GrpcClient): Promise<Finding> {
  const records = (await imagesWithLabel(client, RECIPE_LABEL)).filter(({ name }) => !name.startsWith('sha256:'))
  const images = withoutDoubles(records).filter(isOfTars)
  for (const image of images.slice(0, MAX_IMAGES)) {
    const problem = nameProblem(image.name) ?? (await recordProblem(client, image))
    if (problem) return problem
  }
  return ok(`${images.length} from recipes can be served`)
}

function nameProblem(name: string): Finding | undefined {
  const domain = domainOf(name)
  if (domain === 'localhost' || /[.:]/.test(domain)) return undefined
  return warning(
    `mirrors do not take ${domain} in ${name} for a registry`,
    'use names that begin with a host that has a dot or a port, or with localhost',
  )
}

async function recordProblem(client: GrpcClient, { name, target }: ImageRecord): Promise<Finding | undefined> {
  const again = `remove it with "crictl rmi ${name}" and let a pod pull it again`
  const pinned = digestName(name, target.digest)
  if (!(await getImage(client, pinned))) return warning(`containerd has no record ${pinned}, which k3s goes by`, again)
  const labels = Object.keys((await blobInfo(client, target.digest))?.labels ?? {})
  if (labels.some(label => label.startsWith(`${SOURCE_LABEL}.`))) return undefined
  return warning(`the manifest of ${name} has no label with its source, which Spegel goes by`, again)
}
