const FORM = /^([\w.@+-]{1,200}):([A-Za-z0-9+/]{43}=)$/

/** The public half of a key that signs store paths. */
export interface PublicKey {
  readonly name: string
  /** `NAME:BASE64`, as Nix prints it and `trusted-public-keys` has it. */
  readonly text: string
}

/**
 * Reads an ed25519 key as Nix writes it. Undefined if it is something else, or has a name that would need quotes in a
 * file.
 */
export function parsePublicKey(text: string): PublicKey | undefined {
  const [, name, base64] = FORM.exec(text) ?? []
  if (name === undefined || base64 === undefined) return undefined
  return Buffer.from(base64, 'base64').toString('base64') === base64 ? { name, text } : undefined
}
