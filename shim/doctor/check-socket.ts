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
          `the server at ${listen} is not enbi-shim, or an older version`,
          'set listen to a socket that only the shim uses; after an upgrade, restart the shim',
        )
      }
    },
  }
}

function judge({ shim }: StatusReport, { listen, containerd }: Pick<Config, 'listen' | 'containerd'>): Finding {
  const restart = 'restart it: systemctl restart enbi-shim.service'
  if (shim.version !== version()) return warning(`enbi-shim ${shim.version} answers, but this is ${version()}`, restart)
  if (shim.containerd !== containerd.address)
    return warning(`the shim at ${listen} uses ${shim.containerd}, but this config has ${containerd.address}`, restart)
  return ok(`enbi-shim ${shim.version} answers at ${listen}`)
}
