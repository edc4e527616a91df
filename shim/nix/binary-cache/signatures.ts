import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { copyStart } from '../../../lib/text/text.ts'
import type { NarInfo } from './narinfo.ts'

const KEY_BYTES = 32
/** What comes before the bytes of an ed25519 key in DER. Source: RFC 8410. */
const DER_START = Buffer.from('302a300506032b6570032100', 'hex')

/** Whether one of the keys has signed what the binary cache says. `keys`: `<name>:<base 64>`. */
export function isSignedBy(info: NarInfo, keys: readonly string[]): boolean {
  const text = Buffer.from(fingerprintOf(info))
  return info.signatures.map(split).some(signature =>
    keys.map(split).some(key => {
      if (key.name !== signature.name) return false
      const publicKey = readKey(key.bytes)
      return publicKey !== undefined && verify(null, text, publicKey, signature.bytes)
    }),
  )
}

/** What Nix signs. Source: Nix, `ValidPathInfo::fingerprint`. */
export function fingerprintOf({ storePath, narHash, narSize, references }: NarInfo): string {
  return `1;${storePath};${narHash};${narSize};${references.join(',')}`
}

/** Longest name that a message shows. */
const MAX_NAME_LENGTH = 100

/** Names of the keys, for messages. */
export function keyNames(keysOrSignatures: readonly string[]): string[] {
  return [...new Set(keysOrSignatures.map(text => copyStart(split(text).name, MAX_NAME_LENGTH)))]
}

function split(text: string): { readonly name: string; readonly bytes: Buffer } {
  const at = text.indexOf(':')
  return { name: text.slice(0, Math.max(at, 0)), bytes: Buffer.from(text.slice(at + 1), 'base64') }
}

function readKey(bytes: Buffer): KeyObject | undefined {
  if (bytes.length !== KEY_BYTES) return undefined
  return createPublicKey({ key: Buffer.concat([DER_START, bytes]), format: 'der', type: 'spki' })
}
