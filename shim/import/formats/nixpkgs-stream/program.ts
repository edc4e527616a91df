import { createHash } from 'node:crypto'
import { isStorePath } from '../../../../recipes/store-path.ts'

/** How a version of nixpkgs' stream_layered_image.py makes its layers. */
export interface StreamProgram {
  /** Permissions of /nix and /nix/store. */
  readonly rootMode: number
  /** Whether the owner of the files is in the conf.json, instead of root. */
  readonly hasOwner: boolean
  /** Whether the files' time has its own field in the conf.json, instead of `created`. */
  readonly hasMtime: boolean
}

/** By codeDigest of the program. */
export type KnownPrograms = ReadonlyMap<string, StreamProgram>

/** Recognizes a program as a whole; undefined for any other, however similar. */
export function recognizeStreamProgram(source: string, known: KnownPrograms = NIXPKGS): StreamProgram | undefined {
  const [line = ''] = source.split('\n', 1)
  if (line.startsWith('#!') && !PYTHON.test(line)) return undefined
  const digest = codeDigest(source)
  return digest === undefined ? undefined : known.get(digest)
}

/** Of any version. Options would change how Python reads the program. */
const PYTHON = /^#! ?\/[\w./+-]{1,255}\/python3(?:\.\d{1,3})? *$/

/** Digest of what a Python program does (see normalizeCode). The interpreter's line is a comment. */
export function codeDigest(source: string): string | undefined {
  const code = normalizeCode(source)
  return code === undefined ? undefined : createHash('sha256').update(code).digest('hex')
}

const OLDER: StreamProgram = { rootMode: 0o555, hasOwner: false, hasMtime: false }
const NEWER: StreamProgram = { rootMode: 0o755, hasOwner: true, hasMtime: true }

/**
 * pkgs/build-support/docker/stream_layered_image.py of nixpkgs, in the versions that were compared. To add one, print its digest
 * with test/shim/import/formats/nixpkgs-stream/print-code-digest.ts.
 */
const NIXPKGS: KnownPrograms = new Map([
  // Until 2024, when owners were added to the conf.json: formatted for flake8, and for sourcery.
  ['c70882e0842c9bc50e714040c9abaa0eb8f252136d1f41665d2b9b477f96f256', OLDER],
  ['64150c3d0a96751c51e6c07d2cb5f35b63adc28f170a3a09eb20f52f55f15f3b', OLDER],
  // f803fb870ae4, with --repo_tag.
  ['81238914b0a0f11986bca6b5832098a3e643d55d90e9f6e29184d0ee04f71d12', NEWER],
  // 0137840114d1, formatted by ruff.
  ['5319031daff907063c8c34dc31a831a2790eddf8f4a1067166a15c07c548b2c3', NEWER],
])

/**
 * Gives programs that differ only in comments, docstrings, empty lines and spaces at the ends of lines the same form: strings
 * become JSON, so that each line is a line of code. Undefined for a program that cannot be read, or that Python may read in
 * another way.
 */
function normalizeCode(source: string): string | undefined {
  if (!PLAIN.test(source) || namesEncoding(source)) return undefined
  const lines: string[] = []
  let line = ''
  let lastText = ''
  let depth = 0
  let isContinued = false
  const text = `${source}\n`
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const next = text[index + token.length]
    if (token === '"' || token === "'" || isUnfinished(token, next)) return undefined
    if (token === '\n') {
      const isBlank = line.trim() === ''
      // A blank line still ends the statement.
      if (isBlank && isContinued) return undefined
      const isDocstring = depth === 0 && !isContinued && line.trim() === lastText && canHaveDocstring(lines)
      if (!isBlank && !isDocstring) lines.push(line.trimEnd())
      isContinued = line.endsWith('\\')
      line = lastText = ''
    } else if (token === '\\') {
      if (next !== '\n') return undefined
      line += token
    } else if (/^["']/.test(token)) {
      lastText = JSON.stringify(token)
      line += lastText
    } else if (!token.startsWith('#')) {
      if ('([{'.includes(token)) depth += 1
      if (')]}'.includes(token)) depth -= 1
      line += token
    }
  }
  return lines.join('\n')
}

/**
 * Python also ends lines at a carriage return, indents by tabs, restarts at a form feed, and some versions end at a NUL. To a
 * shell, other white space is a part of a word.
 */
const PLAIN = /^[\n -~]*$/

/** A comment, a string, a bracket, the end of a line, what is between these, or a quote that does not begin a string. */
const TOKEN =
  /#[^\n]*|"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""|'''(?:[^'\\]|\\[\s\S]|'(?!''))*'''|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|[^#"'\\\n()[\]{}]+|["'\\\n()[\]{}]/g

/** The first two lines may name another encoding, in which bytes have other meanings (PEP 263). */
function namesEncoding(source: string): boolean {
  return source.split('\n', 2).some(line => /coding[:=]/.test(line))
}

/** Three quotes that are not closed would pass for an empty string and the beginning of another. */
function isUnfinished(token: string, next: string | undefined): boolean {
  return (token === '""' || token === "''") && next === token[0]
}

/** A text by itself is a docstring at the beginning of a program, a class or a function. */
function canHaveDocstring(lines: readonly string[]): boolean {
  return lines.at(-1)?.endsWith(':') ?? true
}

/** What a stream script runs. */
interface StreamCommand {
  /** Store path of the Python program. */
  readonly program: string
  /** Store path of the conf.json that it is given. */
  readonly conf: string
}

const EXEC = /^exec +(["']?)([^ "']+)\1 +(["']?)([^ "']+)\3(?: +"\$@")? *$/
/** Shells of makeWrapper and of nixpkgs' writers, with no option but theirs. */
const SHELL = /^#! ?\/[\w./+-]{1,255}\/(?:bash|sh)(?: -e)? *$/
/**
 * Finds the command of a shell script that only runs the program of nixpkgs' streamLayeredImage, as makeWrapper writes it;
 * undefined for any other script.
 */
export function findStreamCommand(script: string, storeDir?: string): StreamCommand | undefined {
  const [shebang = '', ...lines] = script.split('\n')
  const [line = '', ...others] = lines.filter(line => !/^ *(?:#|$)/.test(line))
  const [, , program = '', , conf = ''] = EXEC.exec(line) ?? []
  if (!PLAIN.test(script) || !SHELL.test(shebang) || others.length > 0) return undefined
  if (!isStorePath(program, storeDir) || !program.endsWith('-stream')) return undefined
  if (!isStorePath(conf, storeDir) || !conf.endsWith('-conf.json')) return undefined
  return { program, conf }
}
