import { createServer } from 'node:net'

/** Below the ports that Linux gives to outgoing connections: one of ours that is free for a moment is not lost to those. */
const FIRST = 20_000
const COUNT = 12_000
const TRIES = 200

/** A port on the loopback address for a daemon that cannot let the kernel choose. No other test takes it until this process has ended. */
export async function claimPort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    if ((await claim(port)) && (await isFree(port))) return port
  }
  throw new Error('no free port')
}

/** An abstract unix socket: one process of the machine can have a name, and the kernel takes it back when that process ends. */
function claim(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const holder = createServer().unref()
    holder.once('error', () => resolve(false)).listen(`\0enbi-shim-test-port-${port}`, () => resolve(true))
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
