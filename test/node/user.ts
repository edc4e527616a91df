import { execa } from 'execa'

export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

export async function findUser(name: string): Promise<User> {
  const [uid, gid] = await Promise.all([execa('id', ['-u', name]), execa('id', ['-g', name])])
  return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) }
}
