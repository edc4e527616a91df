import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import { archiveInvalid } from './errors.ts'
import { checkSpelling, parseJson } from './json.ts'
import { digestSchema } from './parsed-image.ts'

export interface Platform {
  readonly os: string
  /** Go's name: `amd64`, `arm64`. */
  readonly architecture: string
}

export interface ImageConfig extends Platform {
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly string[]
}

/** More layers than any snapshotter can mount. */
export const MAX_LAYERS = 500

const schema = v.object({
  os: v.string(),
  architecture: v.string(),
  rootfs: v.object({
    type: v.literal('layers'),
    diff_ids: v.pipe(v.nullish(v.array(digestSchema), []), v.maxLength(MAX_LAYERS, `more than ${MAX_LAYERS} layers`)),
  }),
})

const FIELDS = { '': ['architecture', 'os', 'config', 'rootfs'], '/rootfs': ['type', 'diff_ids'] }

/** Source: OCI image specification, config.md. Throws ArchiveInvalid. */
export function parseConfig(bytes: Buffer, name: string): ImageConfig {
  const { os, architecture, rootfs } = parseJson(schema, bytes, name)
  checkSpelling(bytes.toString('utf8'), FIELDS, name)
  return { os, architecture, diffIds: rootfs.diff_ids ?? [] }
}

/** Throws ArchitectureMismatch that names the platforms of the image and of the node. */
export function checkPlatform(offered: readonly Platform[], host: Platform): void {
  if (!offered.some(platform => isSamePlatform(platform, host))) throw otherPlatform(offered, host)
}

export function otherPlatform(offered: readonly Platform[], host: Platform): FinalError {
  const names = offered.map(platformName).join(', ')
  return new FinalError('ArchitectureMismatch', `the image is for ${names}, this node is ${platformName(host)}`)
}

export function isSamePlatform(one: Platform, other: Platform): boolean {
  return one.os === other.os && one.architecture === other.architecture
}

/** Pairs the layers of a manifest with the config's diffIDs. */
export function pairLayers<Layer extends object>(
  layers: readonly Layer[],
  { diffIds }: ImageConfig,
): (Layer & { readonly diffId: string })[] {
  if (layers.length !== diffIds.length)
    throw archiveInvalid(`lists ${layers.length} layers, while its config has ${diffIds.length}`)
  return diffIds.flatMap((diffId, index) => {
    const layer = layers[index]
    return layer ? [{ ...layer, diffId }] : []
  })
}

/** The platform of this node. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: GO_ARCHITECTURES[process.arch] ?? process.arch }
}

const GO_ARCHITECTURES: Partial<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
}

function platformName({ os, architecture }: Platform): string {
  return `${os}/${architecture}`
}
