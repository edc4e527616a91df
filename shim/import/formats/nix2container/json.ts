import * as v from 'valibot'
import { isStorePath } from '../../../../recipes/store-path.ts'
import { MAX_LAYERS } from '../../image/config.ts'
import { parseJson } from '../../image/json.ts'
import { descriptorSchema, LAYER_TYPE } from '../../image/parsed-image.ts'
import { isPathInStore } from '../../store/store-file.ts'

export const JSON_NAME = 'nix2container JSON'

/** Far more than any real closure has. */
const MAX_PATHS = 100_000
/** Each is matched against every file of its path. */
const MAX_PERMS = 1000
const MAX_REGEX_LENGTH = 4096
/** The greatest number is not an id: it leaves an owner unchanged. */
const MAX_ID = 2 ** 32 - 2

/** Whether it is meant to be an image of nix2container, well formed or not. */
export function isNix2ContainerJson(bytes: Buffer): boolean {
  const kind = v.looseObject({ version: v.literal(1), 'image-config': v.unknown(), layers: v.unknown() })
  try {
    return v.is(kind, JSON.parse(bytes.toString('utf8')))
  } catch {
    return false
  }
}

export type Nix2ContainerJson = v.InferOutput<ReturnType<typeof imageSchema>>
export type Nix2ContainerLayerJson = Nix2ContainerJson['layers'][number]

/** Source: nix2container, types/types.go. Throws ArchiveInvalid for another form, and for more than any real image has. */
export function parseNix2ContainerJson(bytes: Buffer, storeDir?: string): Nix2ContainerJson {
  return parseJson(imageSchema(storeDir), bytes, JSON_NAME)
}

function imageSchema(storeDir: string | undefined) {
  const layers = v.pipe(
    v.array(layerSchema(storeDir)),
    v.minLength(1, 'no layers'),
    v.maxLength(MAX_LAYERS, `more than ${MAX_LAYERS} layers`),
    v.check(all => all.reduce((sum, { paths }) => sum + paths.length, 0) <= MAX_PATHS, `more than ${MAX_PATHS} paths`),
  )
  return v.object({ arch: v.pipe(v.string(), v.regex(/^[a-z0-9]{0,32}$/, 'expected an architecture')), layers })
}

const { digest } = descriptorSchema.entries
const TYPES = [LAYER_TYPE, `${LAYER_TYPE}+gzip`, `${LAYER_TYPE}+zstd`]

function layerSchema(storeDir: string | undefined) {
  const isBelow = (value: unknown) => typeof value === 'string' && isPathInStore(value, storeDir)
  return v.object({
    digest,
    diff_ids: digest,
    mediatype: v.picklist(TYPES, 'expected the type of a layer'),
    'layer-path': v.nullish(v.union([v.literal(''), v.custom<string>(isBelow, 'expected a path in the store')])),
    paths: v.nullish(v.pipe(v.array(pathSchema(storeDir)), v.readonly()), []),
  })
}

const text = v.pipe(
  v.string(),
  v.maxLength(MAX_REGEX_LENGTH, `longer than ${MAX_REGEX_LENGTH} characters`),
  v.check(value => value.isWellFormed() && !value.includes('\0'), 'expected text'),
)
const ownerName = v.nullish(v.pipe(text, v.maxLength(255, 'longer than any name')), '')
const id = v.nullish(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_ID)), 0)

const permission = v.object({
  regex: v.nullish(text, ''),
  mode: v.nullish(v.pipe(v.string(), v.regex(/^[0-7]{0,7}$/, 'expected up to seven octal digits')), ''),
  uid: id,
  gid: id,
  uname: ownerName,
  gname: ownerName,
})

const options = v.object({
  rewrite: v.nullish(v.object({ regex: v.nullish(text, ''), repl: v.nullish(text, '') })),
  perms: v.nullish(v.pipe(v.array(permission), v.maxLength(MAX_PERMS, `more than ${MAX_PERMS} permissions`)), []),
})

function pathSchema(storeDir: string | undefined) {
  const isTop = (value: unknown) => typeof value === 'string' && isStorePath(value, storeDir)
  return v.object({ path: v.custom<string>(isTop, 'expected a store path'), options: v.nullish(options) })
}
