import { readStart } from '../../../lib/files/read-start.ts'
import { isStorePath } from '../../../recipes/store-path.ts'

/** Outputs come first in the file. A derivation has a few of them. */
const MAX_BYTES = 64 * 1024

/** An output of a derivation whose path is known before the build. */
export interface KnownOutput {
  readonly path: string
  /** Whether the derivation says which content it has. */
  readonly isFixed: boolean
}

/**
 * The derivation's output if its path is known before the build and the same on every node, as the file says that nix has
 * written. Undefined for derivations that are content-addressed, impure or dynamic, and if the file is not a derivation.
 */
export async function readKnownOutput(drvPath: string, output: string): Promise<KnownOutput | undefined> {
  try {
    return knownOutputOf(await readStart(drvPath, { maxBytes: MAX_BYTES, followsLink: false }), output)
  } catch {
    return undefined
  }
}

const START = 'Derive(['
/** A string without escapes, none of which a path or the name of an output contains. */
const OUTPUT = /^\("([^"\\]{1,211})","([^"\\]{0,255})","([^"\\]{0,64})","([^"\\]{0,255})"\)/

/** Parses the outputs of a derivation in Nix's ATerm format. See `readKnownOutput`. */
export function knownOutputOf(text: string, output: string): KnownOutput | undefined {
  if (!text.startsWith(START)) return undefined
  let rest = text.slice(START.length)
  let found: KnownOutput | undefined
  while (!rest.startsWith(']')) {
    const [all, name, path = '', algorithm = '', hash = ''] = OUTPUT.exec(rest) ?? []
    if (all === undefined) return undefined
    if (name === output) found = readOutput({ path, algorithm, hash })
    rest = rest.slice(all.length)
    if (rest.startsWith(',')) rest = rest.slice(1)
    else if (!rest.startsWith(']')) return undefined
  }
  return found
}

/** An input-addressed output has neither an algorithm nor a hash, one of fixed content has both. */
function readOutput({
  path,
  algorithm,
  hash,
}: {
  path: string
  algorithm: string
  hash: string
}): KnownOutput | undefined {
  const isFixed = algorithm !== '' && /^[0-9a-f]{32,128}$/.test(hash)
  const isInputAddressed = algorithm === '' && hash === ''
  return isStorePath(path) && (isFixed || isInputAddressed) ? { path, isFixed } : undefined
}
