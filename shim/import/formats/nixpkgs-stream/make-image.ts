import { isStorePath } from '../../../../recipes/store-path.ts'
import { archiveInvalid } from '../../image/errors.ts'
import { LAYER_TYPE } from '../../image/manifest.ts'
import { type Owner, ROOT } from '../../layers/layer.ts'
import type { NativeImage, NativeLayer, TarFileLayer } from '../../layers/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { readStoreFile, resolveStoreFile } from '../../store/store-file.ts'
import { CONF_NAME, type StreamConf } from './conf.ts'
import { makeStreamConfig } from './config.ts'
import type { StreamProgram } from './program.ts'
import { type PythonTime, parsePythonTime, pythonTimeAt } from './python-time.ts'

interface Surroundings {
  readonly closure: Closure
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined
}

/**
 * The image that the program makes of a conf. Undefined when only the program itself can make it: when it is not known how it reads a
 * time, or when a layer has something below a store path. Throws ArchiveInvalid when something is missing in the conf, or in the store.
 */
export async function makeStreamImage(
  conf: StreamConf,
  program: StreamProgram,
  { closure, now = Date.now }: Surroundings,
): Promise<NativeImage | undefined> {
  const { architecture, config, storeLayers, customisationLayer } = conf
  const times = readTimes(conf, program, pythonTimeAt(now()))
  if (!times || !storeLayers.flat().every(path => isStorePath(path, closure.storeDir))) return undefined
  const layer = { owner: ownerFor(conf, program), mtime: times.mtime, rootMode: program.rootMode }
  const base = conf.fromImage === undefined ? undefined : await resolveStoreFile(conf.fromImage, closure)
  const top = await findCustomisationLayer(customisationLayer, closure)
  const layers: NativeLayer[] = storeLayers.map(paths => {
    return { kind: 'store', layer: { paths, ...layer } }
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
  return { kind: 'file', path, diffId: digest, digest, mediaType: LAYER_TYPE }
}
