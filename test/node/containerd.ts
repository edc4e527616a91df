import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectCri } from './cri.ts'
import { createDaemon, type Daemon } from './daemon.ts'
import type { Namespace } from './namespace.ts'

export interface Containerd {
  readonly daemon: Daemon
  readonly socket: string
  /** containerd's `root`: content store, snapshots, metadata. */
  readonly root: string
}

export interface ContainerdOptions {
  /** Folder of the content store, of snapshots and metadata. */
  readonly root?: string
  /** The folder of `containerd` and its helper programs. By default Debian's. */
  readonly programs?: string
  /** A CNI network list. By default it only has a loopback interface, for pods on the host's network. */
  readonly network?: object
  /** Folder with the `hosts.toml` of registries. */
  readonly mirrors?: string | undefined
  /** Longest message that containerd sends, in bytes. */
  readonly maxMessage?: number
}

/** The default of containerd. */
const MAX_MESSAGE = 16 * 1024 * 1024

export const SANDBOX_IMAGE = 'localhost/pause:1'
const LOOPBACK = { cniVersion: '1.0.0', name: 'loopback', plugins: [{ type: 'loopback' }] }
/** Debian's folder for the plugins. */
const CNI_PLUGINS = '/usr/lib/cni'

/** Creates a containerd with its own folders and socket, without starting it. */
export async function createContainerd(
  namespace: Namespace,
  env: NodeJS.ProcessEnv,
  { programs, root: given, network = LOOPBACK, mirrors, maxMessage = MAX_MESSAGE }: ContainerdOptions = {},
): Promise<Containerd> {
  const dir = join(namespace.dir, 'containerd')
  const root = given ?? join(dir, 'root')
  const cniConfig = join(dir, 'cni')
  await mkdir(cniConfig, { recursive: true })
  await writeFile(join(cniConfig, '10-network.conflist'), JSON.stringify(network))
  const configPath = join(dir, 'config.toml')
  await writeFile(configPath, config(dir, { root, cniConfig, mirrors, maxMessage }))
  const socket = join(dir, 'containerd.sock')
  const daemon = createDaemon({
    name: 'containerd',
    namespace,
    command: [programs === undefined ? 'containerd' : join(programs, 'containerd'), '--config', configPath],
    env: programs === undefined ? env : { ...env, PATH: `${programs}:${env.PATH}` },
    logPath: join(dir, 'log'),
    ready: signal => waitForCri(socket, signal),
  })
  return { daemon, socket, root }
}

/** containerd listens shortly before its CRI plugin serves. */
async function waitForCri(socket: string, signal: AbortSignal): Promise<void> {
  using cri = connectCri(socket)
  await cri.waitUntilServing(signal)
}

interface ConfigPlan extends Pick<ContainerdOptions, 'mirrors'> {
  readonly root: string
  readonly cniConfig: string
  readonly maxMessage: number
}

/**
 * Version 2 of containerd's configuration, which 2.x converts by itself.
 * `restrict_oom_score_adj`: in a container the score may not be lowered. AppArmor and `opt` would leave traces on the machine.
 */
function config(dir: string, { root, cniConfig, mirrors, maxMessage }: ConfigPlan): string {
  const quote = JSON.stringify
  return `version = 2
root = ${quote(root)}
state = ${quote(join(dir, 'state'))}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = ${quote(join(dir, 'containerd.sock'))}
  max_send_message_size = ${maxMessage}
[ttrpc]
  address = ${quote(join(dir, 'containerd.sock.ttrpc'))}
[debug]
  address = ${quote(join(dir, 'debug.sock'))}
  level = "info"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${quote(SANDBOX_IMAGE)}
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${quote(CNI_PLUGINS)}
    conf_dir = ${quote(cniConfig)}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
${mirrors === undefined ? '' : `  [plugins."io.containerd.grpc.v1.cri".registry]\n    config_path = ${quote(mirrors)}\n`}`
}
