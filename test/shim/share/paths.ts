import { randomBytes } from 'node:crypto'
import type { SharedPath } from '../../../shim/nix/sharing.ts'

const LETTERS = '0123456789abcdfghijklmnpqrsvwxyz'

/** A store path that no other test has. */
export function somePath(): SharedPath {
  const hash = [...randomBytes(32)].map(byte => LETTERS[byte % 32]).join('')
  return { storePath: `/nix/store/${hash}-web`, drvPath: `/nix/store/${hash}-web.drv`, image: 'registry.example/web:1' }
}
