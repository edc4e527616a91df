import { closeSync, openSync, readSync } from 'node:fs'
import { isStorePath } from '../../../recipes/store-path.ts'
import type { NixError } from '../log/nix-output.ts'

/** A failed builder, as nix reports it. */
export interface FailedBuilder {
  /** The path of its derivation. */
  readonly drvPath: string
  /** `with exit code 3`, `due to signal 9 (Killed)` */
  readonly how: string
  /** Nix found little space left in the store, and suspects that as the cause. */
  readonly diskFull: boolean
}

/** The error that ended nix, or the one behind it: a derivation fails if one that it needs has failed. */
export function findCause(errors: readonly NixError[]): NixError | undefined {
  const end = errors.findLastIndex(({ own }) => own)
  const last = errors[end]
  // Nix reports the failed dependency right before its last error. No builder runs by then, so their output comes earlier.
  return last && isDependent(last.text) ? (errors[end - 1] ?? last) : last
}

/** The texts of Nix until about 2.30, and of later versions. */
function isDependent(text: string): boolean {
  const [first = '', second = ''] = text.split('\n', 2)
  if (second.trimStart().startsWith('Reason: '))
    return /^Reason: \d{1,9} dependenc(?:y|ies) failed/.test(second.trimStart())
  return /^(?:\d{1,9} dependencies of derivation|build of) '/.test(first)
}

export function readFailedBuilder(text: string): FailedBuilder | undefined {
  const lines = text.split('\n', MAX_LINES).map(line => line.trimStart())
  const [first = '', second = ''] = lines
  const drvPath = quotedAfter(first, "builder for '") ?? quotedAfter(first, "Cannot build '")
  const how = upTo(first, second, drvPath)
  // Lines of the builder start with `>`.
  return drvPath === undefined || how === undefined ? undefined : { drvPath, how, diskFull: lines.some(isDiskNote) }
}

/** More lines than nix repeats of a log. */
const MAX_LINES = 200
const MAX_HOW_LENGTH = 100

function quotedAfter(line: string, start: string): string | undefined {
  const end = line.indexOf("'", start.length)
  return line.startsWith(start) && end >= 0 ? line.slice(start.length, end) : undefined
}

/** `builder for '…' failed with exit code 3;` or `Reason: builder failed with exit code 3.` */
function upTo(first: string, second: string, drvPath = ''): string | undefined {
  const old = `builder for '${drvPath}' failed `
  if (first.startsWith(old)) return HOW.exec(first.slice(old.length, old.length + MAX_HOW_LENGTH))?.[0]
  const recent = 'Reason: builder failed '
  if (second.startsWith(recent)) return HOW.exec(second.slice(recent.length, recent.length + MAX_HOW_LENGTH))?.[0]
  return undefined
}

const HOW = /^(?:with exit code \d{1,3}|due to signal \d{1,3}(?: \([^()]{1,60}\))?)/

function isDiskNote(line: string): boolean {
  return line.startsWith('note: build failure may have been caused by lack of free disk space')
}

/** Bytes that are read of a derivation's file: its first output is at the start. */
const MAX_HEAD_BYTES = 1024

/** Whether the output's hash is fixed: such a builder fetches, and may use the network. */
export function isFixedOutput(drvPath: string): boolean {
  if (!isStorePath(drvPath) || !drvPath.endsWith('.drv')) return false
  try {
    return /^Derive\(\[\("out","[^"]{0,300}","[^"]{1,20}","[^"]{1,200}"\)/.test(readHead(drvPath))
  } catch {
    return false
  }
}

function readHead(path: string): string {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(MAX_HEAD_BYTES)
    return head.toString('latin1', 0, readSync(file, head))
  } finally {
    closeSync(file)
  }
}
