import { readStart } from '../../../lib/files/read-start.ts'
import { isStorePath } from '../../../recipes/store-path.ts'

/** Outputs come first in the file. A derivation has a few of them. */
const MAX_BYTES = 64 * 1024

/**
 * The path of the derivation's output if it is known before the build and the same on every node, as the file says that nix has
 * written. Undefined for derivations that are content-addressed, impure or dynamic, and if the file is not a derivation.
 */
export async function readOutputPath(drvPath: string, output: string): Promise<string | undefined> {
  try {
    return outputPathOf(await readStart(drvPath, { maxBytes: MAX_BYTES, followsLink: false }), output)
  } catch {
    return undefined
  }
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
