import { isStorePath, STORE_DIR } from '../../../recipes/store-path.ts'
import { readNarHash } from './nar-hash.ts'

/** What a binary cache says about a store path. Nothing of it is true before a signature is verified. */
export interface NarInfo {
  readonly storePath: string
  /** `sha256:` and 52 digits of Nix's base 32, as Nix signs it. */
  readonly narHash: string
  readonly narSize: number
  /** Sorted, as Nix signs them. */
  readonly references: readonly string[]
  /** `<key name>:<base 64>` */
  readonly signatures: readonly string[]
  /** Whether Nix verifies the path by its content alone, if that is true. */
  readonly isContentAddressed: boolean
}

const MAX_REFERENCES = 1000
const MAX_SIGNATURES = 32
const NAR_SIZE = /^[1-9]\d{0,14}$/

/** Parses the text of a `.narinfo` file; undefined if it is not one. Source: Nix, src/libstore/nar-info.cc. */
export function parseNarInfo(text: string): NarInfo | undefined {
  const lines = text.split('\n').map(readLine)
  const valuesOf = (key: string) => lines.flatMap(line => (line.key === key ? [line.value] : []))
  const [storePath = '', ...otherPaths] = valuesOf('StorePath')
  const [hash = ''] = valuesOf('NarHash')
  const [narSize = ''] = valuesOf('NarSize')
  const [references = ''] = valuesOf('References')
  const narHash = readNarHash(hash)
  const names = references.split(' ').filter(name => name !== '')
  const paths = names.map(name => `${STORE_DIR}/${name}`)
  if (otherPaths.length > 0 || paths.length > MAX_REFERENCES) return undefined
  if (!isStorePath(storePath) || !paths.every(path => isStorePath(path))) return undefined
  if (narHash === undefined || !NAR_SIZE.test(narSize)) return undefined
  return {
    storePath,
    narHash,
    narSize: Number(narSize),
    references: [...new Set(paths)].sort(),
    signatures: valuesOf('Sig').slice(0, MAX_SIGNATURES),
    isContentAddressed: valuesOf('CA').some(value => value !== ''),
  }
}

function readLine(line: string): { readonly key: string; readonly value: string } {
  const at = line.indexOf(': ')
  return at < 0 ? { key: '', value: '' } : { key: line.slice(0, at), value: line.slice(at + 2).trim() }
}
