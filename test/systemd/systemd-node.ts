import { copyFile, cp, link, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SANDBOX_IMAGE } from '../node/containerd.ts'
import { type CriClient, connectCri } from '../node/cri.ts'
import { createDaemon } from '../node/daemon.ts'
import { type Namespace, startNamespace } from '../node/namespace.ts'
import { writePauseImage } from '../node/pause-image.ts'
import { type Pod, type PodResult, runPod } from '../node/pod.ts'
import { type RunOptions, type RunResult, runInside } from '../node/run.ts'
import { installPacked, packProject } from '../pack.ts'

/**
 * A node with a root of its own, run by a real systemd, with containerd and nix-daemon as services. npm has installed `enbi-shim` in
 * /usr/local, but there is no unit for it. /nix and /var/lib are on one mount. Disposal leaves no trace.
 */
export interface SystemdNode extends AsyncDisposable {
  /** The folder with all files of the node. */
  readonly dir: string
  /** Writes texts to absolute paths of the node. */
  write(files: Readonly<Record<string, string>>): Promise<void>
  /** Runs a program on the node without the restrictions of a unit. Rejects with execa's error if it fails. */
  run(command: string, args?: readonly string[], options?: RunOptions): Promise<RunResult>
  /** The path by which this process reaches a file of the node. */
  outside(path: string): string
  /** A client of a socket of the node, which closes together with the node. */
  cri(socket: string): CriClient
  /** Imports the pause image and runs a pod to its end. */
  runPod(pod: Pod): Promise<PodResult>
  /** The log of a unit. */
  journal(unit: string): Promise<string>
}

export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock'
const NODE = join(import.meta.dirname, 'node')
const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', HOME: '/root', LANG: 'C.UTF-8' }
const POLL_MS = 20

/** Needs root and systemd's programs. The machine itself need not run systemd. */
export async function startSystemdNode(): Promise<SystemdNode> {
  const namespace = await startNamespace()
  try {
    await furnish(namespace.dir)
    const node = makeNode(namespace, await startSystemd(namespace))
    const services = ['nix-daemon.socket', 'containerd.service']
    await node.run('systemctl', ['enable', '--now', ...services])
    return node
  } catch (error) {
    await namespace[Symbol.asyncDispose]()
    throw error
  }
}

/** Files that are laid over the machine's /usr and /etc. */
async function furnish(dir: string): Promise<void> {
  const programs = join(dir, 'usr/local/bin')
  await mkdir(programs, { recursive: true })
  await link(process.execPath, join(programs, 'node')).catch(() => copyFile(process.execPath, join(programs, 'node')))
  await installPacked(await packProject(dir), join(dir, 'usr/local'))
  await cp(join(NODE, 'etc'), join(dir, 'etc'), { recursive: true })
}

/** Resolves to the process number of the node's systemd as the machine counts. */
async function startSystemd(namespace: Namespace): Promise<string> {
  const { dir } = namespace
  const pidFile = join(dir, 'systemd.pid')
  const daemon = createDaemon({
    name: 'systemd',
    namespace,
    command: ['sh', join(NODE, 'node.sh'), dir],
    env: ENV,
    logPath: join(dir, 'systemd.log'),
    async ready(signal) {
      while (!(await isRunning(pidFile))) await delay(POLL_MS, undefined, { signal })
    },
  })
  await daemon.start()
  return readFile(pidFile, 'utf8')
}

async function isRunning(pidFile: string): Promise<boolean> {
  const pid = await readFile(pidFile, 'utf8').catch(() => '')
  if (pid === '') return false
  const { exitCode } = await runOn(pid, 'systemctl', ['is-system-running', '--wait'], { reject: false })
  return exitCode === 0
}

function runOn(pid: string, command: string, args: readonly string[] = [], options: RunOptions = {}) {
  const namespaces = ['--mount', '--pid', '--cgroup', '--ipc', '--uts']
  const enter = ['nsenter', '--target', pid.trim(), ...namespaces, '--', 'setpriv', '--pdeathsig', 'KILL', '--']
  return runInside({ enter, env: ENV, cwd: '/' }, command, args, options)
}

function makeNode(namespace: Namespace, pid: string): SystemdNode {
  const { dir } = namespace
  const clients = new DisposableStack()
  const outside = (path: string) => `/proc/${pid.trim()}/root${path}`
  const run: SystemdNode['run'] = (...call) => runOn(pid, ...call)
  const cri = (socket: string) => clients.use(connectCri(outside(socket)))
  const containerd = cri(CONTAINERD_SOCKET)
  const importPauseImage = async () => {
    await writePauseImage(outside('/root/pause.tar'), SANDBOX_IMAGE)
    await run('ctr', ['--namespace', 'k8s.io', 'images', 'import', '/root/pause.tar'])
    await containerd.waitForImage(SANDBOX_IMAGE)
  }
  return {
    dir,
    outside,
    run,
    cri,
    async write(files) {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(outside(path)), { recursive: true })
        await writeFile(outside(path), text)
      }
    },
    async runPod(pod) {
      if ((await containerd.imageStatus(SANDBOX_IMAGE)) === undefined) await importPauseImage()
      return runPod(containerd, pod, dir)
    },
    async journal(unit) {
      await run('journalctl', ['--sync'])
      const { stdout } = await run('journalctl', ['--no-pager', '--output', 'cat', '--unit', unit])
      return stdout
    },
    async [Symbol.asyncDispose]() {
      clients.dispose()
      await namespace[Symbol.asyncDispose]()
    },
  }
}
