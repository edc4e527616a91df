import { createServer } from 'node:net'

/** Below the ports that Linux gives to outgoing connections: one of ours that is free for a moment is not lost to those. */
const FIRST_PORT = 20_000
const PORTS = 12_000
/** 198.18.0.0/15 is set aside for benchmarks: no machine has neighbours there. */
const SUBNETS = 512
const TRIES = 200

/** A port on the loopback address for a daemon that cannot let the kernel choose. No other test takes it until this process has ended. */
export async function claimPort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if ((await claim(`port-${port}`)) && (await isFree(port))) return port
  }
  throw new Error('no free port')
}

/** Addresses for a node's pods, as `A.B.C.0/24`; claimed like a port. */
export async function claimSubnet(): Promise<string> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const subnet = Math.floor(Math.random() * SUBNETS)
    if (await claim(`subnet-${subnet}`)) return `198.${18 + (subnet >> 8)}.${subnet & 255}.0/24`
  }
  throw new Error('no free subnet')
}

/** An abstract unix socket: one process of the machine can have a name, and the kernel takes it back when that process ends. */
function claim(name: string): Promise<boolean> {
  return new Promise(resolve => {
    const holder = createServer().unref()
    holder.once('error', () => resolve(false)).listen(`\0enbi-shim-test-${name}`, () => resolve(true))
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
