import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createDaemon, type Daemon } from './daemon.ts'
import type { Namespace } from './namespace.ts'

/** Creates a nix-daemon for the namespace's /nix, with its own socket, without starting it. */
export function createNixDaemon(namespace: Namespace, env: NodeJS.ProcessEnv): Daemon {
  return createDaemon({
    name: 'nix-daemon',
    namespace,
    command: ['nix-daemon'],
    env: { ...env, NIX_REMOTE: 'local' }, // left to choose, it takes itself for the store when /nix is empty
    logPath: join(namespace.dir, 'nix-daemon.log'),
    ready: signal => waitForSocket(nixDaemonSocket(namespace), signal),
    killsTree: true, // the process that serves a client survives its parent
  })
}

export function nixDaemonSocket(namespace: Namespace): string {
  return join(namespace.dir, 'nix.sock')
}

/**
 * Writes nix.conf and returns the environment of Nix clients. The settings are those of nix.conf(5), and override the
 * defaults.
 */
export async function configureNix(
  namespace: Namespace,
  { viaDaemon, settings = {} }: { viaDaemon: boolean; settings?: Readonly<Record<string, string>> | undefined },
): Promise<Record<string, string>> {
  const dir = join(namespace.dir, 'nix-conf')
  await mkdir(dir)
  const all = {
    'experimental-features': 'nix-command flakes',
    // Tests cannot reach a cache, and trying takes seconds.
    substituters: '',
    'build-users-group': '',
    sandbox: 'false',
    ...settings,
  }
  const lines = Object.entries(all).map(([key, value]) => `${key} = ${value}\n`)
  await writeFile(join(dir, 'nix.conf'), lines.join(''))
  const env = { NIX_CONF_DIR: dir, NIX_DAEMON_SOCKET_PATH: nixDaemonSocket(namespace) }
  return viaDaemon ? { ...env, NIX_REMOTE: 'daemon' } : { ...env, NIX_REMOTE: 'local' }
}

async function waitForSocket(path: string, signal: AbortSignal): Promise<void> {
  while (!(await accepts(path))) await delay(20, undefined, { signal })
}

function accepts(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
