import { once } from 'node:events'
import type { Server } from 'node:net'
import { listenAtPath } from './socket-file.ts'

/** A path for a socket file of our own, or the descriptor of a socket that listens already (see systemd-socket.ts). */
export type ListenTarget = { readonly path: string } | { readonly fd: number }

export interface Listening {
  /** Takes no more connections. */
  close(): Promise<void>
}

export async function listen(server: Server, target: ListenTarget): Promise<Listening> {
  const removeFile =
    'path' in target ? await listenAtPath(server, target.path) : await listenAtDescriptor(server, target.fd)
  return {
    async close() {
      // While the socket is open its inode cannot be another's.
      await removeFile()
      server.close()
    },
  }
}

async function listenAtDescriptor(server: Server, fd: number): Promise<() => Promise<void>> {
  const listening = once(server, 'listening')
  server.listen({ fd })
  await listening
  return async () => {}
}
