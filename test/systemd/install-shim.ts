import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SystemdNode } from './systemd-node.ts'

const UNITS = join(import.meta.dirname, '../../deploy/systemd')

/** Text of files of deploy/systemd, by name; others than those that are there are installed instead of them. */
export interface ShimUnits {
  readonly service: string
  readonly socket: string
}

export async function readUnits(): Promise<ShimUnits> {
  const [service, socket] = await Promise.all([readDeployed('enbi-shim.service'), readDeployed('enbi-shim.socket')])
  return { service, socket }
}

/** As docs/how-to/install-with-systemd.md has it: the build user, containerd's folder, a config, and the units, which are enabled and started. */
export async function installShim(node: SystemdNode, { service, socket }: ShimUnits, config: string): Promise<void> {
  await node.write({
    '/etc/sysusers.d/enbi-shim.conf': await readDeployed('enbi-shim.sysusers.conf'),
    '/etc/tmpfiles.d/enbi-shim.conf': await readDeployed('enbi-shim.tmpfiles.conf'),
    '/etc/systemd/system/enbi-shim.service': service,
    '/etc/systemd/system/enbi-shim.socket': socket,
    '/etc/enbi-shim/config.yaml': config,
  })
  await node.run('systemd-sysusers')
  await node.run('systemd-tmpfiles', ['--create', '/etc/tmpfiles.d/enbi-shim.conf'])
  await node.run('systemctl', ['daemon-reload'])
  await node.run('systemctl', ['enable', '--now', 'enbi-shim.socket', 'enbi-shim.service'])
}

function readDeployed(name: string): Promise<string> {
  return readFile(join(UNITS, name), 'utf8')
}
