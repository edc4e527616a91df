/** Where every store path lies. */
export const STORE_DIR = '/nix/store'

const NAME = /^[0-9a-z]{32}-[A-Za-z0-9+._?=-]{1,211}$/

/** Longest path that Linux takes, in bytes. */
const MAX_PATH_BYTES = 4095

/** Whether it is `/nix/store/<hash>-<name>`, and nothing below that. */
export function isStorePath(path: string, storeDir = STORE_DIR): boolean {
  return path.startsWith(`${storeDir}/`) && NAME.test(path.slice(storeDir.length + 1))
}

/** Whether it is a store path or a path below one, by its text alone: links may still lead elsewhere. */
export function isPathInStore(path: string, storeDir = STORE_DIR): boolean {
  const [name = '', ...below] = path.slice(storeDir.length + 1).split('/')
  if (!isStorePath(`${storeDir}/${name}`, storeDir) || !path.startsWith(`${storeDir}/`)) return false
  return Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes('\0') && below.every(isPlainPart)
}

function isPlainPart(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..'
}
