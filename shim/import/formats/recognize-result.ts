import { join } from 'node:path'
import { FinalError, ShimError } from '../../../lib/errors.ts'
import { OCI_LAYOUT } from '../archive/oci-index.ts'
import type { ArchiveOutput } from '../archive/read-image.ts'
import type { Closure, ClosureFile } from '../store/closure.ts'
import { compressionOf } from '../streams/compression.ts'

/** What a build result is, by its content. */
export type RecognizedResult =
  | ArchiveOutput
  /** A program that writes an archive to its standard output. */
  | { readonly kind: 'script'; readonly path: string; readonly head: Buffer }
  /** A file that looks like JSON. */
  | { readonly kind: 'json'; readonly path: string; readonly head: Buffer }
  /** A folder that is not an image. */
  | { readonly kind: 'package'; readonly path: string }

/** Recognizes what `nix build` left. Throws NotAnImage that says what it is if it has none of these forms. */
export async function recognizeResult(path: string, closure: Closure): Promise<RecognizedResult> {
  await using found = await closure.find(path)
  if (!found) throw notAnImage('it is a link to what is neither in the package nor in what it refers to')
  if (found.stats.isDirectory()) return await recognizeFolder(found, closure)
  if (!found.stats.isFile()) throw notAnImage('it is neither a file nor a folder')
  return await recognizeFile(found)
}

/** Recognizes what a program wrote. Throws StreamFailed if it is not an archive. */
export async function recognizeWritten(path: string, closure: Closure): Promise<RecognizedResult> {
  const result = await recognizeResult(path, closure).catch(error => {
    if (error instanceof ShimError && error.code === 'NotAnImage') return undefined
    throw error
  })
  if (result?.kind === 'archive') return result
  throw new FinalError('StreamFailed', 'the package is a program, and what it writes is not an image archive')
}

/** Throws NotAnImage for a base image, or a result, that does not hold its layers. */
export function requireArchive(result: RecognizedResult): ArchiveOutput {
  if (result.kind === 'script') throw notAnImage('its base image is a program')
  if (result.kind === 'json') throw notAnImage('it is a file, but not an archive')
  if (result.kind === 'package') throw notAnImage('it is a folder without an OCI layout')
  return result
}

async function recognizeFolder({ path }: ClosureFile, closure: Closure): Promise<RecognizedResult> {
  await using layout = await closure.find(join(path, OCI_LAYOUT))
  return { kind: layout ? 'folder' : 'package', path }
}

const ANY_EXECUTE = 0o111
const HEAD_BYTES = 512
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46])

async function recognizeFile(file: ClosureFile): Promise<RecognizedResult> {
  const { path, stats } = file
  const head = await file.head(HEAD_BYTES)
  if (isProgram(head) && (stats.mode & ANY_EXECUTE) !== 0) return { kind: 'script', path, head }
  if (isJson(head)) return { kind: 'json', path, head }
  if (compressionOf(head) === 'none' && !isTar(head)) throw notAnImage('it is a file, but not an archive')
  return { kind: 'archive', path, size: stats.size }
}

function isProgram(head: Buffer): boolean {
  return head.subarray(0, 2).toString('latin1') === '#!' || head.subarray(0, ELF.length).equals(ELF)
}

function isJson(head: Buffer): boolean {
  return /^\s*\{/.test(head.toString('latin1'))
}

function isTar(head: Buffer): boolean {
  return head.subarray(257, 262).toString('latin1') === 'ustar'
}

/** `reason` continues "the package is not an image: ". */
function notAnImage(reason: string): FinalError {
  return new FinalError(
    'NotAnImage',
    `the package is not an image: ${reason} (expected a docker-archive, an OCI archive, an OCI layout folder, a stream script or its conf.json, or an image of nix2container)`,
  )
}
