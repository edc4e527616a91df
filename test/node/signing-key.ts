import { generateKeyPairSync } from 'node:crypto'
import * as v from 'valibot'

/** A key that Nix signs with, in its own form. */
export interface SigningKey {
  /** Content of a file of `secret-key-files`. */
  readonly secret: string
  /** For `trusted-public-keys`. */
  readonly public: string
}

const jwk = v.object({ d: v.string(), x: v.string() })

export function makeSigningKey(name: string): SigningKey {
  const { d, x } = v.parse(jwk, generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }))
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]
  return {
    secret: `${name}:${Buffer.concat([seed, point]).toString('base64')}`,
    public: `${name}:${point.toString('base64')}`,
  }
}
