import { isUtf8 } from 'node:buffer'
import { archiveInvalid } from '../../image/errors.ts'
import { type OrderedJson, readOrderedJson } from '../../image/ordered-json.ts'
import { LAYER_TYPE } from '../../image/parsed-image.ts'
import {
  CURRENT_FORM,
  type KnownParts,
  type MergedPath,
  type StoreFilesLayer,
  type StoreImage,
  type TarFileLayer,
} from '../../image/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { resolveStoreFile } from '../../store/store-file.ts'
import { type GoStruct, goFlag, goJson, goLabels, goMoment, goSet, goText, goTexts, throughStruct } from './go-json.ts'
import { isNix2ContainerJson, JSON_NAME, type Nix2ContainerLayerJson, parseNix2ContainerJson } from './json.ts'

/**
 * Reads the image that a JSON document of nix2container describes; undefined for any other document. Throws ArchiveInvalid if the
 * document is damaged, names something that is not in the store, or is larger than any real image's.
 */
export async function readNix2ContainerImage(json: Buffer, closure: Closure): Promise<StoreImage | undefined> {
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
  "is a base image as nix2container's pullImage makes them: it has layers, but neither an architecture nor a config. " +
  'Use it as fromImage of buildImage, and the result of that as the package'

async function toLayer(layer: Nix2ContainerLayerJson, closure: Closure): Promise<StoreFilesLayer | TarFileLayer> {
  const { digest, diff_ids: diffId, mediatype: mediaType, 'layer-path': file, paths } = layer
  const isCompressed = mediaType !== LAYER_TYPE
  if (!isCompressed && digest !== diffId) throw archiveInvalid(`has a layer ${digest} that would also be ${diffId}`)
  if (file) return { kind: 'tarFile', path: await resolveStoreFile(file, closure), diffId, digest, mediaType }
  if (isCompressed) throw archiveInvalid(`has a compressed layer ${digest} without a file`)
  return { kind: 'storeFiles', files: { paths: paths.map(toPath), form: CURRENT_FORM }, promised: diffId }
}

/** A rewrite without a regular expression changes nothing. */
function toPath({ path, options }: Nix2ContainerLayerJson['paths'][number]): MergedPath {
  const { rewrite, perms = [] } = options ?? {}
  return { path, perms, rewrite: rewrite?.regex ? rewrite : undefined }
}

/** Parts of an image's config, as Go writes them. */
interface ConfigParts {
  readonly created: OrderedJson | undefined
  readonly architecture: string
  readonly config: OrderedJson
  /** One entry for each layer. */
  readonly history: readonly OrderedJson[]
}

/** Takes the parts from the document. Throws ArchiveInvalid for what Go could not read. */
function readConfigParts(image: Map<string, OrderedJson>, architecture: string): ConfigParts {
  const layers = image.get('layers')
  const history = (Array.isArray(layers) ? layers : []).map((layer, index) =>
    throughStruct(layer instanceof Map ? layer.get('History') : undefined, HISTORY, `layers.${index}.History`),
  )
  return {
    created: throughStruct(image, { created: goMoment }, 'document').get('created'),
    architecture,
    config: throughStruct(image.get('image-config'), IMAGE_CONFIG, 'image-config'),
    history,
  }
}

/** Source: OCI image specification 1.1, specs-go/v1/config.go. */
const IMAGE_CONFIG = {
  User: goText,
  ExposedPorts: goSet,
  Env: goTexts,
  Entrypoint: goTexts,
  Cmd: goTexts,
  Volumes: goSet,
  WorkingDir: goText,
  Labels: goLabels,
  StopSignal: goText,
  ArgsEscaped: goFlag,
} satisfies GoStruct

const HISTORY = {
  created: goMoment,
  created_by: goText,
  author: goText,
  comment: goText,
  empty_layer: goFlag,
} satisfies GoStruct

/** The bytes that nix2container pushes to registries. Source: nix2container, nix/image.go. Throws ArchiveInvalid. */
function makeNix2ContainerConfig(parts: ConfigParts, { diffIds, base }: KnownParts): Buffer {
  const { created, architecture, config, history } = parts
  if (base || diffIds.length !== history.length)
    throw archiveInvalid(`has ${history.length} layers, of which ${diffIds.length} were found`)
  const rootfs = new Map<string, OrderedJson>([
    ['type', 'layers'],
    ['diff_ids', [...diffIds]],
  ])
  const image = new Map<string, OrderedJson>([
    ...(created === undefined ? [] : [['created', created] as const]),
    ['architecture', architecture],
    ['os', 'linux'],
    ['config', config],
    ['rootfs', rootfs],
    ['history', [...history]],
  ])
  return Buffer.from(goJson(image))
}
