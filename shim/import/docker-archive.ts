import * as v from 'valibot'
import { checkPlatform, type Platform, pairLayers, parseConfig } from './config.ts'
import { archiveInvalid } from './invalid.ts'
import { parseJson } from './json.ts'
import { layerTypeOf } from './layer-type.ts'
import type { LayoutFiles, OnLayer } from './layout-files.ts'
import { CONFIG_TYPE, document, makeManifest } from './manifest.ts'
import type { PlannedLayer, ReadPlan } from './plan.ts'

export const DOCKER_MANIFEST = 'manifest.json'

/** What `docker save` and nixpkgs' dockerTools write beside the layers. Source: moby, image/spec. */
const schema = v.array(v.object({ Config: v.string(), Layers: v.nullish(v.array(v.string()), []) }))

/** The plan of a docker-archive. The manifest that it lacks is made, always the same for the same layers. */
export async function planDockerArchive(
  files: LayoutFiles,
  manifestJson: Buffer,
  { host, onLayer }: { host: Platform; onLayer: OnLayer },
): Promise<ReadPlan> {
  const image = onlyImage(parseJson(schema, manifestJson, DOCKER_MANIFEST))
  const bytes = await files.readDocument(image.Config)
  if (!bytes) throw archiveInvalid(`lacks the config that its ${DOCKER_MANIFEST} names: ${image.Config}`)
  const parsed = parseConfig(bytes, image.Config)
  checkPlatform([parsed], host)
  const layers: PlannedLayer[] = []
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
  const config = document(CONFIG_TYPE, bytes)
  return { config, manifest: makeManifest(config, layers), layers, unpackedSize, layerNames: image.Layers }
}

/** Names of the layers' files, bottom first. */
export function layerNamesIn(manifestJson: Buffer): readonly string[] {
  return onlyImage(parseJson(schema, manifestJson, DOCKER_MANIFEST)).Layers
}

/** One image may stand there several times, under several names. */
function onlyImage(images: v.InferOutput<typeof schema>): { Config: string; Layers: string[] } {
  const [first, ...others] = images.map(({ Config, Layers }) => ({ Config, Layers: Layers ?? [] }))
  if (!first) throw archiveInvalid(`has a ${DOCKER_MANIFEST} without an image`)
  if (others.some(other => JSON.stringify(other) !== JSON.stringify(first)))
    throw archiveInvalid(`holds ${images.length} images, where one is expected`)
  return first
}
