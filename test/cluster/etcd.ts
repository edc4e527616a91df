import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { ETCD_PROGRAM } from '../node/programs.ts'

export interface Etcd {
  readonly daemon: Daemon
  /** The value of the API server's `--etcd-servers`. */
  readonly url: string
}

/**
 * Creates an etcd that listens on unix sockets, without starting it. Its data does not survive a crash of the machine.
 */
export async function createEtcd(namespace: Namespace, env: NodeJS.ProcessEnv): Promise<Etcd> {
  const dir = join(namespace.dir, 'etcd')
  await mkdir(dir)
  const peer = 'http://localhost:2380' // a name only: it is alone, and listens on a socket
  const flags = {
    'data-dir': join(dir, 'data'),
    'listen-client-urls': `unix://${CLIENT_SOCKET}`,
    'advertise-client-urls': `unix://${CLIENT_SOCKET}`,
    'listen-peer-urls': 'unix://peer.sock:0',
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
    'unsafe-no-fsync': 'true',
  }
  const daemon = createDaemon({
    name: 'etcd',
    namespace,
    command: ['env', '-C', dir, ETCD_PROGRAM, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
    env,
    logPath: join(dir, 'log'),
    ready: signal => waitForSocket(join(dir, CLIENT_SOCKET), signal),
  })
  return { daemon, url: `unix://${join(dir, CLIENT_SOCKET)}` }
}

/** etcd requires a port in the name, and resolves the path relative to its working directory. */
const CLIENT_SOCKET = 'client.sock:0'
const POLL_MS = 20

async function waitForSocket(path: string, signal: AbortSignal): Promise<void> {
  while (!(await accepts(path))) await delay(POLL_MS, undefined, { signal })
}

function accepts(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket
      .once('error', () => resolve(false))
      .once('connect', () => {
        socket.destroy()
        resolve(true)
      })
  })
}
