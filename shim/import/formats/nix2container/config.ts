import { archiveInvalid } from '../../image/errors.ts'
import type { OrderedJson } from '../../image/ordered-json.ts'
import type { KnownParts } from '../../layers/store-image.ts'
import { goJson } from './go-json.ts'
import { type GoStruct, goFlag, goLabels, goMoment, goSet, goText, goTexts, throughStruct } from './go-struct.ts'

/** What goes into the config of an image, as Go writes it. */
export interface ConfigParts {
  readonly created: OrderedJson | undefined
  readonly architecture: string
  readonly config: OrderedJson
  /** One for each layer. */
  readonly history: readonly OrderedJson[]
}

/** The parts by the document's own. Throws ArchiveInvalid for what Go could not read. */
export function readConfigParts(image: Map<string, OrderedJson>, architecture: string): ConfigParts {
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

/** The bytes that nix2container gives to registries. Source: its nix/image.go. Throws ArchiveInvalid. */
export function makeNix2ContainerConfig(parts: ConfigParts, { diffIds, base }: KnownParts): Buffer {
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
