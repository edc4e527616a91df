import { isUtf8 } from 'node:buffer'
import { archiveInvalid } from '../../image/errors.ts'
import { LAYER_TYPE } from '../../image/manifest.ts'
import { readOrderedJson } from '../../image/ordered-json.ts'
import { type MergedPath, TODAYS_FORM } from '../../layers/merged-layer.ts'
import type { MergedFilesLayer, NativeImage, TarFileLayer } from '../../layers/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { resolveStoreFile } from '../../store/store-file.ts'
import { makeNix2ContainerConfig, readConfigParts } from './config.ts'
import { isNix2ContainerJson, JSON_NAME, type Nix2ContainerLayerJson, parseNix2ContainerJson } from './json.ts'

/**
 * An image by the JSON document of nix2container; undefined for any other document. Throws ArchiveInvalid when it is
 * damaged, names what is not in the store, or has more than any image.
 */
export async function readNix2ContainerImage(json: Buffer, closure: Closure): Promise<NativeImage | undefined> {
  if (!isNix2ContainerJson(json)) return undefined
  if (!isUtf8(json)) throw archiveInvalid(`has a ${JSON_NAME} that is not UTF-8`)
  const { arch, layers } = parseNix2ContainerJson(json, closure.storeDir)
  if (arch === '') throw archiveInvalid(BASE_IMAGE)
  const document = readOrderedJson(json.toString('utf8'))
  const parts = readConfigParts(document instanceof Map ? document : new Map(), arch)
  return {
    platform: { os: 'linux', architecture: arch },
    layers: await Promise.all(layers.map(layer => toLayer(layer, closure))),
    makeConfig: known => makeNix2ContainerConfig(parts, known),
  }
}

/** Source: nix2container, NewImageFromDir in nix/image.go, which leaves out the image's config. */
const BASE_IMAGE =
  "is a base image as nix2container's pullImage makes them: it has layers, but no architecture, and nothing of what the image runs. " +
  'Use it as fromImage of buildImage, and take what that makes as the package'

async function toLayer(layer: Nix2ContainerLayerJson, closure: Closure): Promise<MergedFilesLayer | TarFileLayer> {
  const { digest, diff_ids: diffId, mediatype: mediaType, 'layer-path': file, paths } = layer
  const isCompressed = mediaType !== LAYER_TYPE
  if (!isCompressed && digest !== diffId) throw archiveInvalid(`has a layer ${digest} that would be ${diffId}, too`)
  if (file) return { kind: 'file', path: await resolveStoreFile(file, closure), diffId, digest, mediaType }
  if (isCompressed) throw archiveInvalid(`has a compressed layer ${digest} without a file`)
  return { kind: 'merged', layer: { paths: paths.map(toPath), form: TODAYS_FORM }, promised: diffId }
}

/** Without a regular expression nothing is rewritten. */
function toPath({ path, options }: Nix2ContainerLayerJson['paths'][number]): MergedPath {
  const { rewrite, perms = [] } = options ?? {}
  return { path, perms, rewrite: rewrite?.regex ? rewrite : undefined }
}
