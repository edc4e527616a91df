import { execFile } from 'node:child_process'
import type { Logger } from 'pino'
import type { ListenTarget } from './listen.ts'

/** systemd hands sockets over from this descriptor on (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3

/**
 * The listening socket that systemd opened for this process, else a socket file at `path`. Removes systemd's variables from
 * `env`: child processes must not take the socket for theirs.
 */
export function takeListenTarget(env: NodeJS.ProcessEnv, path: string): ListenTarget {
  const isForUs = env.LISTEN_PID === String(process.pid)
  const count = Number(env.LISTEN_FDS ?? 0)
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name]
  return isForUs && count >= 1 ? { fd: FIRST_DESCRIPTOR } : { path }
}

export type ServiceState = 'READY=1' | 'STOPPING=1'

const NOTIFY_LIMIT_MS = 5000
const MISSING = 'systemd-notify is not on the PATH: systemd cannot see when the service is ready'
let reportedMissing = false

/**
 * Notifies systemd of the state of the service, if NOTIFY_SOCKET is set. Never fails: the service works without systemd. Node has
 * no unix datagram sockets, so a child process does it, and the unit needs `NotifyAccess=all`.
 */
export async function notifySystemd(
  state: ServiceState,
  { env, logger }: { readonly env: NodeJS.ProcessEnv; readonly logger: Logger },
): Promise<void> {
  if (!env.NOTIFY_SOCKET) return
  await new Promise<void>(resolve => {
    execFile('systemd-notify', [state], { env, timeout: NOTIFY_LIMIT_MS }, error => {
      if (error !== null) reportFailure(error, state, logger)
      resolve()
    })
  })
}

function reportFailure(error: Error & { code?: unknown }, state: ServiceState, logger: Logger): void {
  if (error.code !== 'ENOENT') logger.warn({ err: error, state }, 'notifying systemd failed')
  else if (!reportedMissing) logger.warn(MISSING)
  reportedMissing ||= error.code === 'ENOENT'
}
