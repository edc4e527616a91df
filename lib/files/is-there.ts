import { lstat } from 'node:fs/promises'

/** Whether anything has that path, including a dangling link. False also if that cannot be found out. */
export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
