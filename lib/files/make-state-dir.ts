import { mkdir } from 'node:fs/promises'

/** Makes the state folder where it is missing. Others may pass, but not look around: the build user has folders of its own in it. */
export async function makeStateDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o711 })
}
