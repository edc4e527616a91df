import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { isStorePath } from '../../../recipes/store-path.ts'

/** Outputs come first in the file. A derivation has a few of them. */
const MAX_BYTES = 64 * 1024

/**
 * The path of the derivation's output if it is known before the build and the same on every node, as the file says that nix has
 * written. Undefined for derivations that are content-addressed, impure or dynamic, and if the file is not a derivation.
 */
export async function readOutputPath(drvPath: string, output: string): Promise<string | undefined> {
  try {
    return outputPathOf(await readStart(drvPath), output)
  } catch {
    return undefined
  }
}

async function readStart(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) return ''
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0)
  return buffer.toString('utf8', 0, bytesRead)
}

const START = 'Derive(['
/** A string without escapes, none of which a path or the name of an output contains. */
const OUTPUT = /^\("([^"\\]{1,211})","([^"\\]{0,255})","([^"\\]{0,64})","([^"\\]{0,255})"\)/

/** Parses the outputs of a derivation in Nix's ATerm format. See `readOutputPath`. */
export function outputPathOf(text: string, output: string): string | undefined {
  if (!text.startsWith(START)) return undefined
  let rest = text.slice(START.length)
  let found: string | undefined
  while (!rest.startsWith(']')) {
    const [all, name, path = '', algorithm = '', hash = ''] = OUTPUT.exec(rest) ?? []
    if (all === undefined) return undefined
    if (name === output && isKnown({ path, algorithm, hash })) found = path
    rest = rest.slice(all.length)
    if (rest.startsWith(',')) rest = rest.slice(1)
    else if (!rest.startsWith(']')) return undefined
  }
  return found
}

/** An input-addressed output has neither an algorithm nor a hash, one of fixed content has both. */
function isKnown({ path, algorithm, hash }: { path: string; algorithm: string; hash: string }): boolean {
  const isFixed = algorithm !== '' && /^[0-9a-f]{32,128}$/.test(hash)
  return isStorePath(path) && (isFixed || (algorithm === '' && hash === ''))
}
