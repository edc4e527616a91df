import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { waitUntilHealthy } from '../cluster/health.ts'
import type { Bed } from '../node/bed.ts'
import { createDaemon, type Daemon } from '../node/daemon.ts'

/** A node's Spegel. Each has its own address, because Spegel takes the port of its registry for that of every node. */
export interface Spegel {
  readonly daemon: Daemon
  /** Base URL of its registry. `/readyz` answers 200 once it knows another node. */
  readonly url: string
}

export interface SpegelPlan {
  readonly program: string
  readonly address: string
  /** Address of the other node. */
  readonly peer: string
}

/** Starts the Spegel of a node. It does not wait for the other node. */
export async function startSpegel(bed: Bed, { program, address, peer }: SpegelPlan): Promise<Spegel> {
  const dir = join(bed.dir, 'spegel')
  await mkdir(dir)
  const url = `http://${address}:5000`
  const flags = {
    'containerd-sock': bed.containerdSocket,
    'containerd-content-path': join(bed.containerdRoot, 'io.containerd.content.v1.content'),
    'data-dir': dir,
    'registry-addr': `${address}:5000`,
    'router-addr': `${address}:5001`,
    'metrics-addr': `${address}:5003`,
    'bootstrap-kind': 'http',
    'http-bootstrap-addr': `${address}:5002`,
    'http-bootstrap-peer': `http://${peer}:5002`,
    // The default of 20 ms is too short for a machine that runs all nodes.
    'mirror-resolve-timeout': '2s',
  }
  const daemon = createDaemon({
    name: 'spegel',
    namespace: bed.namespace,
    command: [program, 'registry', ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
    env: bed.env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`${url}/livez`, signal),
  })
  await daemon.start()
  return { daemon, url }
}

/** Has Spegel write the `hosts.toml` that sends a node's containerd to its registry. */
export async function mirrorAll(bed: Bed, { program, folder }: { program: string; folder: string }, spegel: Spegel) {
  const flags = [`--containerd-registry-config-path=${folder}`, `--mirror-targets=${spegel.url}`]
  await bed.run(program, ['configuration', ...flags])
}
