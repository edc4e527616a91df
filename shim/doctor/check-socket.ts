import { createClient } from '../../lib/grpc/client.ts'
import { hasStatus } from '../../lib/grpc/grpc-error.ts'
import { STATUS } from '../../lib/grpc/status.ts'
import { version } from '../../lib/version.ts'
import type { Config } from '../config/config.ts'
import { type StatusReport, WATCH_STATUS } from '../wire/status.ts'
import { type Check, type Finding, failed, ok, warning } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'

const START = 'start the shim: systemctl start enbi-shim.socket enbi-shim.service'

/** Whether a shim of this version answers at the configured socket. */
export function checkSocket({ listen, containerd }: Pick<Config, 'listen' | 'containerd'>): Check {
  return {
    name: 'socket',
    async look(signal) {
      const problem = await probeSocket(listen, START)
      if (problem) return problem
      using client = createClient(listen, { signal })
      try {
        return judge(await client.unary(WATCH_STATUS, { watch: false }), { listen, containerd })
      } catch (error) {
        if (!hasStatus(error, STATUS.UNIMPLEMENTED)) throw error
        return failed(
          `what listens at ${listen} is no enbi-shim, or an older one`,
          'give the shim a socket of its own (listen), not that of containerd, or restart it after an upgrade',
        )
      }
    },
  }
}

function judge({ shim }: StatusReport, { listen, containerd }: Pick<Config, 'listen' | 'containerd'>): Finding {
  const restart = 'restart it: systemctl restart enbi-shim.service'
  if (shim.version !== version()) return warning(`enbi-shim ${shim.version} answers, and this is ${version()}`, restart)
  if (shim.containerd !== containerd.address)
    return warning(
      `the shim at ${listen} uses ${shim.containerd}, where this config has ${containerd.address}`,
      restart,
    )
  return ok(`enbi-shim ${shim.version} answers at ${listen}`)
}
