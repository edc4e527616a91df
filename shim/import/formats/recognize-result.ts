import { basename, join } from 'node:path'
import { FinalError, ShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import type { ImageProgram, PackageHints } from '../../../recipes/built-package.ts'
import { storePathOf } from '../../../recipes/store-path.ts'
import { OCI_LAYOUT } from '../archive/oci-index.ts'
import type { ArchiveOutput } from '../archive/read-image.ts'
import { MAX_JSON_BYTES } from '../image/json.ts'
import type { StoreImage } from '../image/store-image.ts'
import type { Closure, ClosureFile } from '../store/closure.ts'
import { isProgram, readStoreFile } from '../store/store-file.ts'
import { compressionOf } from '../streams/decompress.ts'
import { readNix2ContainerImage } from './nix2container/image.ts'
import { readStreamImage } from './nixpkgs-stream/image.ts'
import { makePackageImage } from './package/package-image.ts'

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
  if (looksLikeProgram(head) && (stats.mode & ANY_EXECUTE) !== 0) return { kind: 'script', path, head }
  if (looksLikeJson(head)) return { kind: 'json', path, head }
  if (compressionOf(head) === 'none' && !isTar(head)) throw notAnImage('it is a file, but not an archive')
  return { kind: 'archive', path, size: stats.size }
}

function looksLikeProgram(head: Buffer): boolean {
  return head.subarray(0, 2).toString('latin1') === '#!' || head.subarray(0, ELF.length).equals(ELF)
}

function looksLikeJson(head: Buffer): boolean {
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

/** Reads an image whose layers are described by store paths; undefined for a build result that holds its layers itself. */
export async function readStoreImage(
  result: RecognizedResult,
  plainPackage: PackageHints | undefined,
  closure: Closure,
): Promise<StoreImage | undefined> {
  switch (result.kind) {
    case 'script':
      return readStreamImage(result, { closure })
    case 'json':
      return (await readStreamImage(result, { closure })) ?? readNix2Container(result.path, closure)
    case 'package':
      return readPackage(result.path, plainPackage, closure)
    default:
      return undefined
  }
}

async function readNix2Container(path: string, closure: Closure): Promise<StoreImage | undefined> {
  const json = await readStoreFile(path, MAX_JSON_BYTES, closure)
  return json && readNix2ContainerImage(json, closure)
}

async function readPackage(folder: string, hints: PackageHints | undefined, closure: Closure): Promise<StoreImage> {
  if (!hints)
    throw new FinalError(
      'PolicyRefused',
      'the package is not an image: it is a folder without an OCI layout, and the policy rule does not have plainPackages: true',
    )
  return makePackageImage({ folder, storePath: storePathOf(folder), closure, hints })
}

/** Finds out how Nix can run a program. Throws StreamFailed if its interpreter is not in the closure. */
export async function findImageProgram(
  { path, head }: Extract<RecognizedResult, { kind: 'script' }>,
  storePath: string,
  closure: Closure,
): Promise<ImageProgram> {
  const interpreter = readInterpreter(head)
  if (interpreter && !(await isProgram(interpreter.path, closure)))
    throw new FinalError(
      'StreamFailed',
      `the package is a program that writes the image, but it cannot be run: its interpreter ${quote(interpreter.path)} is not a program of the package or of what it refers to in the Nix store`,
    )
  return { path, storePath, shell: shellIn(interpreter) ?? (await findShell(closure)) ?? SANDBOX_SHELL }
}

interface Interpreter {
  readonly path: string
  readonly argument: string
}

/** Source: execve(2). */
function readInterpreter(head: Buffer): Interpreter | undefined {
  const [line = ''] = head.toString('utf8').split('\n', 1)
  if (!line.startsWith('#!')) return undefined
  const [path = '', ...words] = line
    .slice(2)
    .trim()
    .split(/[ \t]+/)
  return { path, argument: words.join(' ') }
}

const SHELLS = ['sh', 'bash', 'dash', 'ash', 'ksh', 'mksh', 'zsh']

/** A shell script names its shell. */
function shellIn(interpreter: Interpreter | undefined): ImageProgram['shell'] | undefined {
  if (!interpreter) return undefined
  const { path, argument } = interpreter
  if (SHELLS.includes(basename(path))) return { path, argument: '' }
  return basename(path) === 'busybox' && SHELLS.includes(argument) ? { path, argument } : undefined
}

/** Always chooses the same one: the output of a program is cached by everything that it is run with. */
async function findShell(closure: Closure): Promise<ImageProgram['shell'] | undefined> {
  for (const storePath of [...closure.infos.keys()].sort()) {
    const path = `${storePath}/bin/sh`
    if (await isProgram(path, closure)) return { path, argument: '' }
  }
  return undefined
}

/** Sandboxes have it unless nix.conf says otherwise. */
const SANDBOX_SHELL = { path: '/bin/sh', argument: '' }
