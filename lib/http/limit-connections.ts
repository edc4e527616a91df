import type { Server, Socket } from 'node:net'

/**
 * Keeps at most `most` connections open. A further one closes the oldest connection of the address that has the most,
 * so that a flood only displaces its own connections.
 */
export function limitConnections(server: Server, most: number): void {
  const held = new Map<string, Set<Socket>>()
  let count = 0
  server.on('connection', socket => {
    const address = socket.remoteAddress ?? ''
    const ofAddress = held.get(address) ?? new Set()
    held.set(address, ofAddress.add(socket))
    count += 1
    socket.once('close', () => {
      count -= 1
      ofAddress.delete(socket)
      if (ofAddress.size === 0 && held.get(address) === ofAddress) held.delete(address)
    })
    if (count > most) oldestOfLargest(held)?.destroy()
  })
}

function oldestOfLargest(held: ReadonlyMap<string, ReadonlySet<Socket>>): Socket | undefined {
  let largest: ReadonlySet<Socket> = new Set()
  for (const sockets of held.values()) if (sockets.size > largest.size) largest = sockets
  const [oldest] = largest
  return oldest
}
