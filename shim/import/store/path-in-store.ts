import { isStorePath, STORE_DIR } from '../../../recipes/store-path.ts'

/** Longest path that Linux takes, in bytes. */
const MAX_PATH_BYTES = 4095

/** Whether it is a store path or a path below one, by its text alone: links may still lead elsewhere. */
export function isPathInStore(path: string, storeDir = STORE_DIR): boolean {
  const [name = '', ...below] = path.slice(storeDir.length + 1).split('/')
  if (!isStorePath(`${storeDir}/${name}`, storeDir) || !path.startsWith(`${storeDir}/`)) return false
  return Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes('\0') && below.every(isPlainPart)
}

function isPlainPart(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..'
}
