import * as v from 'valibot'
import { isStorePath } from '../../../../recipes/store-path.ts'
import { archiveInvalid } from '../../image/errors.ts'
import { MAX_JSON_BYTES, parseJson } from '../../image/json.ts'
import type { OrderedJson } from '../../image/ordered-json.ts'
import { LAYER_TYPE } from '../../image/parsed-image.ts'
import {
  type BaseParts,
  type KnownParts,
  type Owner,
  ROOT,
  type StoreImage,
  type StoreLayer,
  type TarFileLayer,
} from '../../image/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { readStoreFile, resolveStoreFile } from '../../store/store-file.ts'
import { CONF_NAME, isStreamConf, readStreamConf, type StreamConf } from './conf-json.ts'
import { findStreamCommand, type KnownPrograms, recognizeStreamProgram, type StreamProgram } from './program.ts'
import { type PythonTime, parsePythonTime, pythonJson, pythonListRepr, pythonTimeAt } from './python.ts'

export interface StreamResult {
  readonly kind: 'script' | 'json'
  readonly path: string
}

export interface StreamOptions {
  readonly closure: Closure
  /** Milliseconds since 1970, for an image that is created "now". */
  readonly now?: (() => number) | undefined
  /** Known programs; nixpkgs' own by default. */
  readonly programs?: KnownPrograms | undefined
}

/**
 * Reads the image that the conf.json of nixpkgs' streamLayeredImage describes. The build result is that conf.json, or the script
 * that would stream the image, which is not run. Undefined for any other file, and for a script that may write another image.
 * Throws ArchiveInvalid if the conf.json is damaged or names something that is not in the store.
 */
export function readStreamImage({ kind, path }: StreamResult, options: StreamOptions): Promise<StoreImage | undefined> {
  return kind === 'script' ? readScript(path, options) : readBareConf(path, options)
}

/** Wrappers have 200 bytes, the program that they run has 15,000. */
const MAX_SCRIPT_BYTES = 64 * 1024

async function readScript(path: string, options: StreamOptions): Promise<StoreImage | undefined> {
  const { closure } = options
  const { storeDir } = closure
  const script = await readStoreFile(path, MAX_SCRIPT_BYTES, closure)
  const command = script && findStreamCommand(script.toString('utf8'), storeDir)
  if (!command) return undefined
  const source = await readStoreFile(command.program, MAX_SCRIPT_BYTES, closure)
  const program = source && recognizeStreamProgram(source.toString('utf8'), options.programs)
  if (!program) return undefined
  const bytes = await readStoreFile(command.conf, MAX_JSON_BYTES, closure)
  if (!bytes) throw archiveInvalid(`has a ${CONF_NAME} of more than ${MAX_JSON_BYTES} bytes`)
  return makeStreamImage(readStreamConf(bytes, storeDir), program, options)
}

async function readBareConf(path: string, options: StreamOptions): Promise<StoreImage | undefined> {
  const bytes = await readStoreFile(path, MAX_JSON_BYTES, options.closure)
  if (!bytes || !isStreamConf(bytes)) return undefined
  const conf = readStreamConf(bytes, options.closure.storeDir)
  const image = await makeStreamImage(conf, programFor(conf), options)
  if (!image)
    throw archiveInvalid(
      `has a ${CONF_NAME} with a time of an unexpected form, or with a layer of something below a store path: use the script that streams the image as the package`,
    )
  return image
}

/** The program that a conf.json was written for. Programs that read `mtime` make /nix 0755; older ones differ. */
function programFor({ mtime, uid }: StreamConf): StreamProgram {
  const hasMtime = mtime !== undefined
  return { rootMode: hasMtime ? 0o755 : 0o555, hasOwner: uid !== undefined, hasMtime }
}

/**
 * Makes the image that the program would make from a conf.json. Undefined if only the program itself can make it: the format of a
 * time is unknown, or a layer has something below a store path. Throws ArchiveInvalid if something is missing in the conf.json, or
 * in the store.
 */
async function makeStreamImage(
  conf: StreamConf,
  program: StreamProgram,
  { closure, now = Date.now }: StreamOptions,
): Promise<StoreImage | undefined> {
  const { architecture, config, storeLayers, customisationLayer } = conf
  const times = readTimes(conf, program, pythonTimeAt(now()))
  if (!times || !storeLayers.flat().every(path => isStorePath(path, closure.storeDir))) return undefined
  const layer = { owner: ownerFor(conf, program), mtime: times.mtime, rootMode: program.rootMode }
  const base = conf.fromImage === undefined ? undefined : await resolveStoreFile(conf.fromImage, closure)
  const top = await findCustomisationLayer(customisationLayer, closure)
  const layers: StoreLayer[] = storeLayers.map(paths => {
    return { kind: 'storeFiles', files: { paths, ...layer } }
  })
  const contents = [...storeLayers, [customisationLayer]]
  const image = { created: times.created.iso, architecture, config, hasBase: base !== undefined, contents }
  return {
    platform: { os: 'linux', architecture },
    base,
    layers: [...layers, top],
    makeConfig: known => makeStreamConfig(image, known),
  }
}

interface Times {
  readonly created: PythonTime
  /** Of the files, in seconds since 1970. */
  readonly mtime: number
}

function readTimes(conf: StreamConf, { hasMtime }: StreamProgram, now: PythonTime): Times | undefined {
  const read = (text: string) => (text === 'now' ? now : parsePythonTime(text))
  const created = read(conf.created)
  const mtime = hasMtime ? read(required(conf.mtime, 'mtime')) : created
  return created && mtime && mtime.seconds >= 0 ? { created, mtime: mtime.seconds } : undefined
}

function ownerFor({ uid, gid, uname, gname }: StreamConf, { hasOwner }: StreamProgram): Owner {
  if (!hasOwner) return ROOT
  return {
    uid: required(uid, 'uid'),
    gid: required(gid, 'gid'),
    uname: required(uname, 'uname'),
    gname: required(gname, 'gname'),
  }
}

function required<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw archiveInvalid(`has a ${CONF_NAME} without ${name}`)
  return value
}

const MAX_CHECKSUM_BYTES = 1024

async function findCustomisationLayer(folder: string, closure: Closure): Promise<TarFileLayer> {
  const path = await resolveStoreFile(`${folder}/layer.tar`, closure)
  const text = await readStoreFile(`${folder}/checksum`, MAX_CHECKSUM_BYTES, closure)
  const checksum = text?.toString('latin1').trim()
  if (!checksum || !/^[0-9a-f]{64}$/.test(checksum)) throw archiveInvalid(`has no checksum in ${folder}`)
  const digest = `sha256:${checksum}`
  return { kind: 'tarFile', path, diffId: digest, digest, mediaType: LAYER_TYPE }
}

interface StreamConfig {
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
