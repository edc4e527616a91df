import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SystemdNode } from './systemd-node.ts'

const UNITS = join(import.meta.dirname, '../../deploy/systemd')

/** Texts by the name of a file of deploy/systemd, which are installed in place of that file. */
export interface ShimUnits {
  readonly service: string
  readonly socket: string
}

export async function readUnits(): Promise<ShimUnits> {
  const [service, socket] = await Promise.all([readDeployed('enbi-shim.service'), readDeployed('enbi-shim.socket')])
  return { service, socket }
}

/** Follows docs/how-to/install-with-systemd.md: makes the build user, containerd's folder and a config, and enables and starts the units. */
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
