import { execFile } from 'node:child_process'
import type { Logger } from 'pino'

export type ServiceState = 'READY=1' | 'STOPPING=1'

const NOTIFY_LIMIT_MS = 5000
const MISSING = 'systemd-notify is not on the PATH: systemd is not told when the service is ready'
let reportedMissing = false

/**
 * Tells systemd how far the service is; nothing when NOTIFY_SOCKET is not set. Never fails: the service works without.
 * A child process, as node has no unix datagram sockets; the unit therefore needs `NotifyAccess=all`,
 * and hides systemd's socket from whom it does not trust.
 */
export async function notifySystemd(state: ServiceState, { env, logger }: { env: NodeJS.ProcessEnv; logger: Logger }) {
  if (!env.NOTIFY_SOCKET) return
  await new Promise<void>(resolve => {
    execFile('systemd-notify', [state], { env, timeout: NOTIFY_LIMIT_MS }, error => {
      if (error !== null) report(error, state, logger)
      resolve()
    })
  })
}

function report(error: Error & { code?: unknown }, state: ServiceState, logger: Logger): void {
  if (error.code !== 'ENOENT') logger.warn({ err: error, state }, 'systemd was not told')
  else if (!reportedMissing) logger.warn(MISSING)
  reportedMissing ||= error.code === 'ENOENT'
}
