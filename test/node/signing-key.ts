import { generateKeyPairSync, sign } from 'node:crypto'

/** A key that Nix signs with, in its own form: the name, and in base 64 the seed and the public key. */
export interface SigningKey {
  /** Content of a file of `secret-key-files`. */
  readonly secret: string
  /** For `trusted-public-keys`. */
  readonly public: string
  /** Returns a signature as a narinfo has it. */
  sign(text: string): string
}

export function makeSigningKey(name: string): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]
  return {
    secret: `${name}:${Buffer.concat([seed, point]).toString('base64')}`,
    public: `${name}:${point.toString('base64')}`,
    sign: text => `${name}:${sign(null, Buffer.from(text), privateKey).toString('base64')}`,
  }
}
