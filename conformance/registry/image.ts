import { createHash } from 'node:crypto'
import { arch } from 'node:os'
import { buffer } from 'node:stream/consumers'
import { type Header, pack } from 'tar-stream'

/** Bytes with their digest, as a registry stores them. */
export interface Blob {
  readonly digest: string
  readonly content: Buffer
}

export interface Image {
  readonly manifest: Blob
  /** The config and the layers. */
  readonly blobs: readonly Blob[]
}

/** What the config of an image says, as in `docker inspect`. */
export interface ImageConfig {
  readonly Cmd?: readonly string[]
  readonly User?: string
  readonly Labels?: Readonly<Record<string, string>>
}

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function makeImage(layers: readonly Blob[], config: ImageConfig): Image {
  const configBlob = jsonBlob({
    architecture: arch() === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Env: [PATH], ...config },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptor(CONFIG_TYPE, configBlob),
    layers: layers.map(layer => descriptor(LAYER_TYPE, layer)),
  })
  return { manifest, blobs: [configBlob, ...layers] }
}

export type Entry = Partial<Pick<Header, 'type' | 'linkname' | 'mode'>> & {
  readonly name: string
  readonly content?: Buffer | string
}

/** A tar without times, so that the same entries always have the same digest. */
export async function makeLayer(entries: readonly Entry[]): Promise<Blob> {
  const archive = pack()
  for (const { content = '', ...header } of entries) archive.entry({ ...header, mtime: new Date(0) }, content)
  archive.finalize()
  return blob(await buffer(archive))
}

function descriptor(mediaType: string, { digest, content }: Blob): object {
  return { mediaType, digest, size: content.length }
}

function jsonBlob(value: object): Blob {
  return blob(Buffer.from(JSON.stringify(value)))
}

function blob(content: Buffer): Blob {
  return { digest: `sha256:${createHash('sha256').update(content).digest('hex')}`, content }
}
