import * as v from 'valibot'
import type { Layer } from '../../containerd/services/descriptor.ts'
import { checkPlatform, pairLayers, parseConfig } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import { parseJson } from '../image/json.ts'
import { CONFIG_TYPE, makeDocument, makeManifest } from '../image/parsed-image.ts'
import { layerTypeOf } from '../streams/measure-layer.ts'
import { type ArchiveImage, isNamed, type LayoutFiles, severalImages, type WantedImage } from './layout.ts'

export const DOCKER_MANIFEST = 'manifest.json'

/** Written by `docker save` and nixpkgs' dockerTools beside the layers. Source: moby, image/spec. */
const texts = v.nullish(v.array(v.string()), [])
const schema = v.array(v.object({ Config: v.string(), RepoTags: texts, Layers: texts }))

/** Parses an image of a docker-archive, which comes without a manifest. Throws ArchiveInvalid or ArchitectureMismatch. */
export async function parseDockerArchive(
  files: LayoutFiles,
  manifestJson: Buffer,
  { host, wanted, onLayer }: WantedImage,
): Promise<ArchiveImage> {
  const images = imagesIn(manifestJson)
  const image = choose(images, wanted)
  const bytes = await files.readDocument(image.Config)
  if (!bytes) throw archiveInvalid(`lacks the config that its ${DOCKER_MANIFEST} names: ${image.Config}`)
  const parsed = parseConfig(bytes, image.Config)
  checkPlatform([parsed], host)
  const layers: Layer[] = []
  let unpackedSize = 0
  for (const { name, diffId } of pairLayers(
    image.Layers.map(name => ({ name })),
    parsed,
  )) {
    const layer = await files.storeLayer(name)
    if (!layer) throw archiveInvalid(`lacks a layer that its ${DOCKER_MANIFEST} names: ${name}`)
    onLayer(layer, layers.length)
    unpackedSize += layer.unpackedSize
    layers.push({ mediaType: layerTypeOf(layer.compression), digest: layer.digest, size: layer.size, diffId })
  }
  const config = makeDocument(CONFIG_TYPE, bytes)
  const manifest = makeManifest(config, layers)
  return { config, manifest, layers, unpackedSize, layerNames: image.Layers, isOneOfSeveral: images.length > 1 }
}

/** Layer file names, bottom first, of the image with that config file, or else of the only image. */
export function layerNamesIn(manifestJson: Buffer, configName: string): readonly string[] {
  const images = imagesIn(manifestJson)
  const [first, ...others] = images
  const found = images.find(({ Config }) => Config === configName) ?? (others.length === 0 ? first : undefined)
  return found?.Layers ?? []
}

interface DockerImage {
  readonly Config: string
  readonly Layers: readonly string[]
  readonly names: Set<string>
}

/** One image may be listed several times, under several names. */
function imagesIn(manifestJson: Buffer): readonly DockerImage[] {
  const images = new Map<string, DockerImage>()
  for (const { Config, Layers, RepoTags } of parseJson(schema, manifestJson, DOCKER_MANIFEST)) {
    const key = JSON.stringify([Config, Layers])
    const image = images.get(key) ?? { Config, Layers: Layers ?? [], names: new Set() }
    for (const name of RepoTags ?? []) image.names.add(name)
    images.set(key, image)
  }
  return [...images.values()]
}

/** A base image is the first one, as in nixpkgs' script. */
function choose(images: readonly DockerImage[], wanted: string | undefined): DockerImage {
  const [first] = images
  if (!first) throw archiveInvalid(`has a ${DOCKER_MANIFEST} without an image`)
  if (images.length === 1 || wanted === undefined) return first
  const [named, ...others] = images.filter(({ names }) => isNamed(names, wanted))
  if (named && others.length === 0) return named
  throw severalImages(
    images.flatMap(({ names }) => [...names]),
    images.length,
    wanted,
  )
}
