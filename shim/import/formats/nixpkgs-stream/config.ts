import * as v from 'valibot'
import { archiveInvalid } from '../../image/errors.ts'
import { parseJson } from '../../image/json.ts'
import type { OrderedJson } from '../../image/ordered-json.ts'
import type { BaseParts, KnownParts } from '../../image/store-image.ts'
import { pythonJson, pythonListRepr } from './python.ts'

export interface StreamConfig {
  /** In Python's format. */
  readonly created: string
  readonly architecture: string
  /** From the conf.json. */
  readonly config: OrderedJson
  readonly hasBase: boolean
  /** Store paths of each layer above those of the base, bottom first. */
  readonly contents: readonly (readonly string[])[]
}

/**
 * Makes the config of the image, byte for byte as nixpkgs' stream_layered_image.py writes it. Throws ArchiveInvalid if the base
 * does not fit.
 */
export function makeStreamConfig(image: StreamConfig, { diffIds, base }: KnownParts): Buffer {
  const { created, architecture } = image
  if (image.hasBase !== (base !== undefined)) throw archiveInvalid('and its base image do not fit together')
  const contents = [...(base?.layerNames ?? []).map(name => [name]), ...image.contents]
  if (contents.length !== diffIds.length)
    throw archiveInvalid(`has ${contents.length} layers, of which ${diffIds.length} were found`)
  const history = contents.map(paths => object({ created, comment: `store paths: ${pythonListRepr(paths)}` }))
  const config = base ? withBaseEnv(image.config, base) : image.config
  const rootfs = object({ diff_ids: [...diffIds], type: 'layers' })
  return Buffer.from(pythonJson(object({ created, architecture, os: 'linux', config, rootfs, history })))
}

function object(fields: Readonly<Record<string, OrderedJson>>): OrderedJson {
  return new Map(Object.entries(fields))
}

/** If a variable is set more than once, the last value counts, at the first one's place. */
function withBaseEnv(config: OrderedJson, base: BaseParts): OrderedJson {
  if (!(config instanceof Map)) throw archiveInvalid('has a base image, but no config of its own')
  const env = [...baseEnv(base), ...ownEnv(config)]
  if (env.length === 0) return config
  const resolved = new Map(env.map(entry => [entry.split('=', 1).join(), entry]))
  return new Map(config).set('Env', [...resolved.values()])
}

const baseSchema = v.object({ config: v.nullish(v.object({ Env: v.nullish(v.array(v.string())) })) })

function baseEnv({ config }: BaseParts): string[] {
  return parseJson(baseSchema, config, 'config of its base image').config?.Env ?? []
}

function ownEnv(config: ReadonlyMap<string, OrderedJson>): string[] {
  const env = config.get('Env') ?? []
  if (v.is(v.array(v.string()), env)) return env
  throw archiveInvalid('has a config whose Env is not a list of texts')
}
