import { mkdir } from 'node:fs/promises'

/**
 * Creates the state folder if it is missing. Other users can enter it but not list it, as the build user owns folders
 * inside.
 */
export async function makeStateDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o711 })
}
