import { once } from 'node:events'
import type { Server } from 'node:net'
import { FinalError, messageOf, ShimError } from '../errors.ts'
import { listenAtPath } from './socket-file.ts'

/** Path of a socket file to make, or descriptor of a socket that listens already (see systemd.ts). */
export type ListenTarget = { readonly path: string } | { readonly fd: number }

export interface Listening {
  /** Accepts no more connections, and removes the socket file. */
  stop(): Promise<void>
  /** Resolves when the last connection has ended, after `stop`. */
  readonly closed: Promise<unknown>
}

/** Throws ListenAddressInUse, or ConfigInvalid when the address cannot be used for another reason. */
export async function listen(server: Server, target: ListenTarget): Promise<Listening> {
  const closed = new Promise(resolve => server.once('close', resolve))
  const removeFile = await open(server, target).catch(error => {
    if (error instanceof ShimError) throw error
    throw new FinalError('ConfigInvalid', `cannot listen at ${addressOf(target)}: ${messageOf(error)}`, {
      cause: error,
    })
  })
  return {
    async stop() {
      // First the file: while the socket is open, its inode cannot be a successor's.
      await removeFile()
      server.close()
    },
    closed,
  }
}

/** For messages. */
export function addressOf(target: ListenTarget): string {
  return 'path' in target ? target.path : `descriptor ${target.fd}`
}

async function open(server: Server, target: ListenTarget): Promise<() => Promise<void>> {
  if ('path' in target) return listenAtPath(server, target.path)
  const listening = once(server, 'listening')
  server.listen(target)
  await listening
  return async () => {}
}
