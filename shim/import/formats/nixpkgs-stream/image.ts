import { archiveInvalid } from '../../image/errors.ts'
import { MAX_JSON_BYTES } from '../../image/json.ts'
import type { NativeImage } from '../../layers/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { readStoreFile } from '../../store/store-file.ts'
import type { Output } from '../build-output.ts'
import { findStreamCommand } from './command.ts'
import { CONF_NAME, isStreamConf, readStreamConf, type StreamConf } from './conf.ts'
import { makeStreamImage } from './make-image.ts'
import { type KnownPrograms, recogniseStreamProgram, type StreamProgram } from './program.ts'

export type StreamOutput = Pick<Extract<Output, { kind: 'script' | 'json' }>, 'kind' | 'path'>

export interface StreamOptions {
  readonly closure: Closure
  /** For an image that is created "now": milliseconds since 1970. */
  readonly now?: (() => number) | undefined
  /** Programs that are known; nixpkgs' own unless given. */
  readonly programs?: KnownPrograms | undefined
}

/**
 * An image by the conf.json of nixpkgs' streamLayeredImage. The output is that conf.json, or the script that would stream
 * the image, which is not run. Undefined for any other file, and for a script that may write another image than the one
 * that would be made here. Throws ArchiveInvalid when the conf.json is damaged or names what is not in the store.
 */
export function readStreamImage(
  { kind, path }: StreamOutput,
  options: StreamOptions,
): Promise<NativeImage | undefined> {
  return kind === 'script' ? readScript(path, options) : readBareConf(path, options)
}

/** Wrappers have 200 bytes, the program that they run has 15,000. */
const MAX_SCRIPT_BYTES = 64 * 1024

async function readScript(path: string, options: StreamOptions): Promise<NativeImage | undefined> {
  const { closure } = options
  const { storeDir } = closure
  const script = await readStoreFile(path, MAX_SCRIPT_BYTES, closure)
  const command = script && findStreamCommand(script.toString('utf8'), storeDir)
  if (!command) return undefined
  const source = await readStoreFile(command.program, MAX_SCRIPT_BYTES, closure)
  const program = source && recogniseStreamProgram(source.toString('utf8'), options.programs)
  if (!program) return undefined
  const bytes = await readStoreFile(command.conf, MAX_JSON_BYTES, closure)
  if (!bytes) throw archiveInvalid(`has a ${CONF_NAME} of more than ${MAX_JSON_BYTES} bytes`)
  return makeStreamImage(readStreamConf(bytes, storeDir), program, options)
}

async function readBareConf(path: string, options: StreamOptions): Promise<NativeImage | undefined> {
  const bytes = await readStoreFile(path, MAX_JSON_BYTES, options.closure)
  if (!bytes || !isStreamConf(bytes)) return undefined
  const conf = readStreamConf(bytes, options.closure.storeDir)
  const image = await makeStreamImage(conf, programFor(conf), options)
  if (!image)
    throw archiveInvalid(
      `has a ${CONF_NAME} with a time of an unexpected form, or with a layer of something below a store path: take the script that streams the image as the package`,
    )
  return image
}

/** The program that a conf was written for. Those that read `mtime` make /nix 0755; the ones before were not alike. */
function programFor({ mtime, uid }: StreamConf): StreamProgram {
  const hasMtime = mtime !== undefined
  return { rootMode: hasMtime ? 0o755 : 0o555, hasOwner: uid !== undefined, hasMtime }
}
