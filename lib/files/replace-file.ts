import { rename, writeFile } from 'node:fs/promises'

/** Writes a file whole: whoever reads it meanwhile, or after a crash, has the one before. One writer at a time. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const unfinished = `${path}.new`
  await writeFile(unfinished, text, { mode })
  await rename(unfinished, path)
}
