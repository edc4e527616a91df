import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import { isStorePath, STORE_DIR } from '../../../../recipes/store-path.ts'
import { MAX_LAYERS } from '../../image/config.ts'
import { archiveInvalid } from '../../image/errors.ts'
import { parseJson } from '../../image/json.ts'
import { type OrderedJson, readOrderedJson } from '../../image/ordered-json.ts'
import { isPathInStore } from '../../store/store-file.ts'

/** The conf.json of nixpkgs' streamLayeredImage. */
export interface StreamConf {
  readonly architecture: string
  /** For the image's config, unchanged. */
  readonly config: OrderedJson
  /** Path of the base image's archive; its text is below the store. */
  readonly fromImage: string | undefined
  /** Bottom first; their text is a store path or a path below one. */
  readonly storeLayers: readonly (readonly string[])[]
  /** Store path of a folder with `layer.tar` and `checksum`. */
  readonly customisationLayer: string
  /** A time, or `now`. */
  readonly created: string
  /** Like `created`. Undefined in older versions. */
  readonly mtime: string | undefined
  /** Owner of the files. Undefined in older versions, like the next three. */
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly uname: string | undefined
  readonly gname: string | undefined
}

export const CONF_NAME = 'conf.json'

/** Far more than any real closure has. */
const MAX_PATHS = 100_000

/** The greatest number is not an id: it leaves an owner unchanged. */
const MAX_ID = 2 ** 32 - 2

/**
 * Reads a conf.json of any version. Throws ArchiveInvalid if it has another form, names a path outside of the store, or is larger
 * than any real image's.
 */
export function readStreamConf(bytes: Buffer, storeDir?: string): StreamConf {
  if (!isUtf8(bytes)) throw archiveInvalid(`has a ${CONF_NAME} that is not UTF-8`)
  const conf = parseJson(confSchema(storeDir), bytes, CONF_NAME)
  const { architecture, created, mtime, uid, gid, uname, gname } = conf
  return {
    architecture,
    config: readConfig(bytes),
    fromImage: conf.from_image ?? undefined,
    storeLayers: conf.store_layers,
    customisationLayer: conf.customisation_layer,
    created,
    mtime,
    uid,
    gid,
    uname,
    gname,
  }
}

/** Whether it is meant to be a conf.json, well formed or not. */
export function isStreamConf(bytes: Buffer): boolean {
  try {
    return v.is(v.looseObject({ store_layers: v.unknown(), customisation_layer: v.unknown() }), JSON.parse(`${bytes}`))
  } catch {
    return false
  }
}

function readConfig(bytes: Buffer): OrderedJson {
  const conf = readOrderedJson(bytes.toString('utf8'))
  return conf instanceof Map ? (conf.get('config') ?? null) : null
}

function confSchema(storeDir: string | undefined) {
  const isTop = (value: unknown) => typeof value === 'string' && isStorePath(value, storeDir)
  const storePath = v.custom<string>(isTop, 'expected a store path')
  const isBelow = (value: unknown) => typeof value === 'string' && isPathInStore(value, storeDir)
  const pathInStore = v.custom<string>(isBelow, 'expected a path below a store path')
  // One check of the whole list: it stops at the first wrong item, instead of reporting each.
  const paths = v.custom<string[]>(
    value => Array.isArray(value) && value.every(isBelow),
    'expected a list of paths in the store',
  )
  return v.object({
    architecture: v.string(),
    config: v.nullable(v.custom<object>(isObject, 'expected an object')),
    from_image: v.nullable(pathInStore),
    store_dir: v.optional(v.literal(storeDir ?? STORE_DIR)),
    store_layers: v.pipe(
      v.custom<unknown[]>(Array.isArray, 'expected a list'),
      v.maxLength(MAX_LAYERS, `more than ${MAX_LAYERS} layers`),
      v.array(paths),
      v.check(layers => count(layers) <= MAX_PATHS, `more than ${MAX_PATHS} store paths`),
    ),
    customisation_layer: storePath,
    created: v.string(),
    mtime: v.optional(v.string()),
    uid: v.optional(id),
    gid: v.optional(id),
    uname: v.optional(ownerName),
    gname: v.optional(ownerName),
  })
}

/** A number, or its digits as text. */
const id = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,10}$/, 'expected digits'), v.transform(Number))]),
  v.integer('expected a whole number'),
  v.minValue(0, 'expected no number below 0'),
  v.maxValue(MAX_ID, `expected no number above ${MAX_ID}`),
)

const ownerName = v.pipe(
  v.string(),
  v.maxLength(255, 'longer than any name'),
  v.check(name => name.isWellFormed() && !name.includes('\0'), 'expected text'),
)

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function count(layers: readonly (readonly string[])[]): number {
  return layers.reduce((sum, { length }) => sum + length, 0)
}
