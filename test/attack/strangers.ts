import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Open connections on which no request ever ends. */
export interface Strangers extends Disposable {
  readonly sockets: readonly Socket[]
  /** The connections that the server has not closed. */
  open(): number
}

const DRIP_MS = 100

/** Opens connections from one address. Half of them are silent, and half send an endless request byte by byte. */
export async function holdConnections(url: string, { count, localAddress }: StrangersPlan): Promise<Strangers> {
  const { hostname, port } = new URL(url)
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ host: hostname, port: Number(port), localAddress })
      socket.on('error', () => {}).resume()
      await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      return socket
    }),
  )
  const slow = sockets.filter((_, index) => index % 2 === 0)
  for (const socket of slow) socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ')
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('x')
  }, DRIP_MS)
  return {
    sockets,
    open: () => sockets.filter(socket => !socket.closed).length,
    [Symbol.dispose]() {
      clearInterval(drip)
      for (const socket of sockets) socket.destroy()
    },
  }
}

export interface StrangersPlan {
  readonly count: number
  /** The client's address. Other addresses of 127.0.0.0/8 stand for other machines. */
  readonly localAddress: string
}
