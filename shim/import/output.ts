import { open, realpath, stat } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { FinalError, messageOf, RetryableError } from '../errors.ts'
import { compressionOf } from './compression.ts'
import { OCI_LAYOUT } from './oci-index.ts'
import { readHead } from './read-head.ts'

/** What a build output is, by its content. */
export type Output =
  /** A folder with an OCI layout. */
  | { readonly kind: 'folder'; readonly path: string }
  /** A tar, compressed or not; `size` in bytes. */
  | { readonly kind: 'archive'; readonly path: string; readonly size: number }
  /** A program that writes a docker-archive to its standard output. */
  | { readonly kind: 'script'; readonly path: string; readonly head: Buffer }
  /** A file that looks like JSON. */
  | { readonly kind: 'json'; readonly path: string; readonly head: Buffer }
  /** A folder that is no image. */
  | { readonly kind: 'package'; readonly path: string }

/** What gives the bytes of an archive. */
export type ArchiveOutput = Extract<Output, { kind: 'archive' | 'script' }>
/** What holds an image in full. */
export type ImageOutput = ArchiveOutput | Extract<Output, { kind: 'folder' }>

/** Looks at what `nix build` left. Throws NotAnImage when it is no image of any form, with what it is instead. */
export async function recogniseOutput(storePath: string): Promise<Output> {
  const path = await resolveInStore(storePath)
  const stats = await stat(path)
  if (stats.isDirectory()) return recogniseFolder(path)
  if (!stats.isFile()) throw notAnImage('it is neither a file nor a folder')
  const head = await headOf(path)
  if (isProgram(head) && (stats.mode & ANY_EXECUTE) !== 0) return { kind: 'script', path, head }
  if (isJson(head)) return { kind: 'json', path, head }
  if (compressionOf(head) === 'none' && !isTar(head)) throw notAnImage('it is a file, but no archive')
  return { kind: 'archive', path, size: stats.size }
}

/** An output may be a link to another store path, and to nothing else. */
async function resolveInStore(storePath: string): Promise<string> {
  try {
    const [path, store] = await Promise.all([realpath(storePath), realpath(dirname(storePath))])
    if (path.startsWith(store + sep)) return path
  } catch (cause) {
    throw new RetryableError('ImportInterrupted', `${storePath} cannot be read: ${messageOf(cause)}`, { cause })
  }
  throw notAnImage('it is a link out of the Nix store')
}

async function recogniseFolder(path: string): Promise<Output> {
  const layout = await stat(join(path, OCI_LAYOUT)).catch(() => undefined)
  return { kind: layout ? 'folder' : 'package', path }
}

const ANY_EXECUTE = 0o111
const HEAD_BYTES = 512
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46])

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    return await readHead(file, HEAD_BYTES)
  } finally {
    await file.close()
  }
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

/** `reason` goes on from "the package is no image: ". */
export function notAnImage(reason: string): FinalError {
  return new FinalError(
    'NotAnImage',
    `the package is no image: ${reason} (expected a docker-archive, an OCI archive, an OCI layout folder, a stream script or its conf.json, or an image of nix2container)`,
  )
}
