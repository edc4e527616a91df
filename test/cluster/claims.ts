import { createServer } from 'node:net'

/** Below the ephemeral ports of Linux, so that no outgoing connection takes a port that is free for a moment. */
const FIRST_PORT = 20_000
const PORTS = 12_000
/** 198.18.0.0/15 is reserved for benchmarks, so no network uses it. */
const SUBNETS = 512
const TRIES = 200

/**
 * A loopback port for a daemon that cannot let the kernel choose one. It is reserved for this process until it ends.
 */
export async function claimPort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if ((await claim(`port-${port}`)) && (await isFree(port))) return port
  }
  throw new Error('no free port')
}

/** A subnet for the pods of a node, as `A.B.C.0/24`, reserved like a port. */
export async function claimSubnet(): Promise<string> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const subnet = Math.floor(Math.random() * SUBNETS)
    if (await claim(`subnet-${subnet}`)) return `198.${18 + (subnet >> 8)}.${subnet & 255}.0/24`
  }
  throw new Error('no free subnet')
}

/** Reserves the name by an abstract unix socket. The kernel releases it when this process ends. */
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
