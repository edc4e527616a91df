import { join } from 'node:path'
import { FinalError, ShimError } from '../../../lib/errors.ts'
import { OCI_LAYOUT } from '../archive/oci-index.ts'
import type { Closure, ClosureFile } from '../store/closure.ts'
import { compressionOf } from '../streams/compression.ts'

/** What a build output is, by its content. */
export type Output =
  /** A folder with an OCI layout. */
  | { readonly kind: 'folder'; readonly path: string }
  /** A tar, compressed or not; `size` in bytes. */
  | { readonly kind: 'archive'; readonly path: string; readonly size: number }
  /** A program that writes an archive to its standard output. */
  | { readonly kind: 'script'; readonly path: string; readonly head: Buffer }
  /** A file that looks like JSON. */
  | { readonly kind: 'json'; readonly path: string; readonly head: Buffer }
  /** A folder that is no image. */
  | { readonly kind: 'package'; readonly path: string }

/** What holds an image in full. */
export type ImageOutput = Extract<Output, { kind: 'archive' | 'folder' }>

/** Looks at what `nix build` left. Throws NotAnImage when it is no image of any form, with what it is instead. */
export async function recogniseOutput(path: string, closure: Closure): Promise<Output> {
  await using found = await closure.find(path)
  if (!found) throw notAnImage('it is a link to what is neither in the package nor in what it refers to')
  if (found.stats.isDirectory()) return await recogniseFolder(found, closure)
  if (!found.stats.isFile()) throw notAnImage('it is neither a file nor a folder')
  return await recogniseFile(found)
}

/** The same of what a program wrote. Throws StreamFailed when that is no archive. */
export async function recogniseWritten(path: string, closure: Closure): Promise<Output> {
  const output = await recogniseOutput(path, closure).catch(error => {
    if (error instanceof ShimError && error.code === 'NotAnImage') return undefined
    throw error
  })
  if (output?.kind === 'archive') return output
  throw new FinalError('StreamFailed', 'the package is a program, and what it writes is no image archive')
}

async function recogniseFolder({ path }: ClosureFile, closure: Closure): Promise<Output> {
  await using layout = await closure.find(join(path, OCI_LAYOUT))
  return { kind: layout ? 'folder' : 'package', path }
}

const ANY_EXECUTE = 0o111
const HEAD_BYTES = 512
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46])

async function recogniseFile(file: ClosureFile): Promise<Output> {
  const { path, stats } = file
  const head = await file.head(HEAD_BYTES)
  if (isProgram(head) && (stats.mode & ANY_EXECUTE) !== 0) return { kind: 'script', path, head }
  if (isJson(head)) return { kind: 'json', path, head }
  if (compressionOf(head) === 'none' && !isTar(head)) throw notAnImage('it is a file, but no archive')
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

/** `reason` goes on from "the package is no image: ". */
export function notAnImage(reason: string): FinalError {
  return new FinalError(
    'NotAnImage',
    `the package is no image: ${reason} (expected a docker-archive, an OCI archive, an OCI layout folder, a stream script or its conf.json, or an image of nix2container)`,
  )
}
