import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostPlatform } from '../../../shim/import/image/config.ts'
import { BUSYBOX } from '../../node/programs.ts'
import { type Entry, tar } from './tar.ts'

/** The parts of an image, to be assembled in several formats. */
export interface TestImage {
  /** Uncompressed tars, bottom first. */
  readonly layers: readonly Buffer[]
  readonly config: Buffer
  /** `sha256:<hex>` of the config. */
  readonly id: string
}

export interface ImageOptions {
  readonly architecture?: string
  readonly diffIds?: readonly string[]
}

/** An image of busybox that prints the text when it runs. */
export async function busyboxImage(text: string): Promise<TestImage> {
  const programs = await tar([
    { name: 'bin', type: 'directory' },
    { name: 'bin/busybox', content: await readFile(BUSYBOX) },
  ])
  return makeImage([programs, await tar([{ name: 'text', content: text }])])
}

/** An image that is never run, so that it is made quickly. */
export async function smallImage(text: string, options: ImageOptions = {}): Promise<TestImage> {
  return makeImage([await tar([{ name: 'text', content: text }])], options)
}

export function makeImage(layers: readonly Buffer[], options: ImageOptions = {}): TestImage {
  const { architecture = hostPlatform().architecture, diffIds = layers.map(digest) } = options
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { Cmd: ['/bin/busybox', 'cat', '/text'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  )
  return { layers, config, id: digest(config) }
}

export function digest(bytes: Buffer): string {
  return `sha256:${hex(bytes)}`
}

export function hex(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The entries of a store path in a layer of nix-snapshotter. */
export const MOUNT_POINTS: readonly Entry[] = [
  ...['./nix', './nix/store', `./nix/store/${'0'.repeat(32)}-app`].map(name => ({ name, type: 'directory' as const })),
  { name: './bin', symlink: `./nix/store/${'0'.repeat(32)}-app/bin` },
]

/** The entries of a docker-archive in the order of nixpkgs' streamLayeredImage. */
export function dockerEntries({ layers, config }: TestImage): Entry[] {
  const names = layers.map(layer => `${hex(layer)}/layer.tar`)
  return [
    ...layers.map((content, index) => ({ name: names[index] ?? '', content })),
    { name: `${hex(config)}.json`, content: config },
    { name: 'manifest.json', content: dockerManifest(`${hex(config)}.json`, names) },
  ]
}

export function dockerManifest(config: string, layers: readonly string[], names = ['anything:1']): string {
  return JSON.stringify([{ Config: config, RepoTags: names, Layers: layers }])
}

/** One manifest.json out of several. */
export function mergeDockerManifests(manifests: readonly string[]): Entry {
  return { name: 'manifest.json', content: JSON.stringify(manifests.flatMap(manifest => JSON.parse(manifest))) }
}

/** A docker-archive of several images, by name. */
export function dockerEntriesOf(images: Readonly<Record<string, TestImage>>): Entry[] {
  const entries = Object.values(images).flatMap(image => dockerEntries(image).slice(0, -1))
  const manifests = Object.entries(images).map(([name, { layers, config }]) =>
    dockerManifest(
      `${hex(config)}.json`,
      layers.map(layer => `${hex(layer)}/layer.tar`),
      [name],
    ),
  )
  return [...entries, mergeDockerManifests(manifests)]
}

/** An OCI layout of several images, by the annotations of their manifests. */
export function ociEntriesOf(images: readonly (readonly [TestImage, Readonly<Record<string, string>>])[]): Entry[] {
  const layouts = images.map(([image, annotations]) => ({ entries: ociEntries(image), annotations }))
  const manifests = layouts.flatMap(({ entries, annotations }) =>
    JSON.parse(String(entries.at(-1)?.content)).manifests.map((manifest: object) => ({ ...manifest, annotations })),
  )
  const blobs = layouts.flatMap(({ entries }) => entries.filter(({ name }) => name.startsWith('blobs/')))
  return [
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: indexOf(manifests) },
    ...blobs,
  ]
}

export interface OciOptions {
  /** Makes the blob of a layer; unchanged by default. */
  readonly compress?: (layer: Buffer) => Buffer
  readonly layerType?: string
  readonly layerAnnotations?: Readonly<Record<string, string>>
  readonly platform?: { readonly os: string; readonly architecture: string }
  /** Number of indexes above the manifest's index. */
  readonly nested?: number
  /** Overrides fields of the manifest. */
  readonly manifest?: object
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'

/** The files of an OCI layout. */
export function ociEntries({ layers, config }: TestImage, options: OciOptions = {}): Entry[] {
  const { compress = (layer: Buffer) => layer, layerType = 'application/vnd.oci.image.layer.v1.tar' } = options
  const { platform, nested = 0, manifest: more, layerAnnotations: annotations } = options
  const blobs = layers.map(compress)
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: blobs.map(blob => ({ ...describe(layerType, blob), ...(annotations && { annotations }) })),
      ...more,
    }),
  )
  let index = indexOf([{ ...describe(MANIFEST, manifest), ...(platform && { platform }) }])
  const nestedIndexes: Buffer[] = []
  for (let depth = 0; depth < nested; depth += 1) {
    nestedIndexes.push(index)
    index = indexOf([describe(INDEX, index)])
  }
  return [
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    ...[...blobs, config, manifest, ...nestedIndexes].map(blobEntry),
    { name: 'index.json', content: index },
  ]
}

export function indexOf(manifests: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }))
}

export function blobEntry(content: Buffer): Entry {
  return { name: `blobs/sha256/${hex(content)}`, content }
}

export function describe(mediaType: string, bytes: Buffer): object {
  return { mediaType, digest: digest(bytes), size: bytes.length }
}
