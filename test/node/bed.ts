import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Containerd, type ContainerdOptions, createContainerd, SANDBOX_IMAGE } from './containerd.ts'
import { type CriClient, connectCri } from './cri.ts'
import type { Daemon } from './daemon.ts'
import { type Namespace, startNamespace } from './namespace.ts'
import { configureNix, createNixDaemon, nixDaemonSocket } from './nix-daemon.ts'
import { writePauseImage } from './pause-image.ts'
import { type Pod, type PodResult, runPod } from './pod.ts'
import { type RunOptions, type RunResult, runInside } from './run.ts'
import { type Shim, type ShimOptions, startShim } from './shim.ts'
import { findUser, type User } from './user.ts'

/** A node with its own containerd, Nix and /nix. Disposing it leaves no trace. */
export interface Bed extends AsyncDisposable {
  readonly namespace: Namespace
  /** The bed's temp folder, which has the same path inside and outside. */
  readonly dir: string
  readonly containerd: Daemon
  readonly containerdSocket: string
  /** containerd's `root`: content store, snapshots, metadata. */
  readonly containerdRoot: string
  readonly nixDaemon: Daemon
  readonly nixDaemonSocket: string
  /** The environment of Nix clients. */
  readonly nixEnv: Readonly<Record<string, string>>
  /** The unprivileged user that builds. With `daemon: false` this user owns /nix. */
  readonly buildUser: User
  /** The build user's HOME in `run`. */
  readonly buildHome: string
  /** Argument vector prefix that runs a program inside. The program is killed together with the prefix's process. */
  readonly enter: readonly string[]
  /** The environment of all programs inside: PATH, HOME and `nixEnv`. */
  readonly env: Readonly<Record<string, string>>
  /** Runs a program inside. Rejects with execa's error if it fails. */
  run(command: string, args?: readonly string[], options?: RunOptions): Promise<RunResult>
  startShim(options?: ShimOptions): Promise<Shim>
  /** Imports an archive with `ctr` and waits until CRI knows the image. */
  importImage(archive: string, name: string): Promise<void>
  /**
   * Imports the image that every pod needs. `runPod` also does this, so that a test that lists images finds only its
   * own.
   */
  importPauseImage(): Promise<void>
  /** Runs an image of containerd as a kubelet would run a pod, and waits for its end. */
  runPod(pod: Pod): Promise<PodResult>
  /** A client that is closed together with the bed. The default socket is containerd's. */
  cri(socket?: string): CriClient
}

export interface BedOptions {
  /** Makes a disk of this size, such as `300m`, for both /nix and the images of containerd. They are in memory. */
  readonly storeDisk?: string | undefined
  /** With false there is no nix-daemon, and the build user owns /nix. */
  readonly daemon?: boolean
  /** Override settings of the bed's nix.conf. */
  readonly nixSettings?: Readonly<Record<string, string>> | undefined
  readonly containerd?: ContainerdOptions
  /** Parts that are not started. A test can start their Daemon later. */
  readonly without?: readonly ('containerd' | 'nix')[]
}

/** Needs root. Several beds can run concurrently. */
export async function startBed(options: BedOptions = {}): Promise<Bed> {
  const namespace = await startNamespace(options)
  try {
    return await furnish(namespace, options)
  } catch (error) {
    await namespace[Symbol.asyncDispose]()
    throw error
  }
}

async function furnish(namespace: Namespace, options: BedOptions): Promise<Bed> {
  const { dir, enter } = namespace
  const { daemon: viaDaemon = true, nixSettings, without = [] } = options
  const buildUser = await findUser('nobody')
  const nixEnv = await configureNix(namespace, { viaDaemon, settings: nixSettings })
  const env = { ...(await makeBaseEnv(dir)), ...nixEnv }
  const buildHome = await makeFolder(dir, 'build-home', buildUser)
  if (!viaDaemon) await chown(join(dir, 'nix'), buildUser.uid, buildUser.gid)

  const containerd = await createContainerd(namespace, env, {
    ...(options.storeDisk !== undefined && { root: '/nix/containerd' }),
    ...options.containerd,
  })
  const nixDaemon = createNixDaemon(namespace, env)
  await Promise.all([
    without.includes('containerd') ? undefined : containerd.daemon.start(),
    viaDaemon && !without.includes('nix') ? nixDaemon.start() : undefined,
  ])
  return makeBed({ namespace, containerd, nixDaemon, nixEnv, env, buildUser, buildHome, enter })
}

interface Furniture {
  readonly namespace: Namespace
  readonly containerd: Containerd
  readonly nixDaemon: Daemon
  readonly nixEnv: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  readonly buildUser: User
  readonly buildHome: string
  readonly enter: readonly string[]
}

function makeBed({ namespace, containerd, nixDaemon, nixEnv, env, buildUser, buildHome, enter }: Furniture): Bed {
  const { dir } = namespace
  const clients = new DisposableStack()
  let shims = 0
  const run = (command: string, args: readonly string[] = [], options: RunOptions = {}) => {
    const home = options.user === undefined ? env : { ...env, HOME: buildHome }
    return runInside({ enter, env: home, cwd: dir }, command, args, options)
  }
  const cri = (socket = containerd.socket) => clients.use(connectCri(socket))
  const importImage = async (archive: string, name: string) => {
    using client = connectCri(containerd.socket)
    await run('ctr', ['--address', containerd.socket, '--namespace', 'k8s.io', 'images', 'import', archive])
    await client.waitForImage(name)
  }
  const importPauseImage = async () => {
    const file = join(dir, 'pause.tar')
    await writePauseImage(file, SANDBOX_IMAGE)
    await importImage(file, SANDBOX_IMAGE)
  }
  return {
    namespace,
    dir,
    containerd: containerd.daemon,
    containerdSocket: containerd.socket,
    containerdRoot: containerd.root,
    nixDaemon,
    nixDaemonSocket: nixDaemonSocket(namespace),
    nixEnv,
    buildUser,
    buildHome,
    enter,
    env,
    run,
    startShim(options) {
      shims += 1
      const around = { namespace, name: `shim-${shims}`, containerdSocket: containerd.socket, env, buildUser }
      return startShim(around, options)
    },
    cri,
    importImage,
    importPauseImage,
    async runPod(pod) {
      using client = connectCri(containerd.socket)
      if ((await client.imageStatus(SANDBOX_IMAGE)) === undefined) await importPauseImage()
      return await runPod(client, pod, dir)
    },
    async [Symbol.asyncDispose]() {
      clients.dispose()
      await namespace[Symbol.asyncDispose]()
    },
  }
}

/**
 * Takes only the paths of programs and Node's compile cache from the caller, so that tests do not depend on their
 * environment.
 */
async function makeBaseEnv(dir: string): Promise<Record<string, string>> {
  const path = `${process.env.PATH}:/usr/sbin:/usr/bin:/sbin:/bin`
  const temp = await makeFolder(dir, 'tmp')
  await chmod(temp, 0o1777)
  const { NODE_COMPILE_CACHE = '' } = process.env
  return { PATH: path, LANG: 'C.UTF-8', HOME: await makeFolder(dir, 'home'), TMPDIR: temp, NODE_COMPILE_CACHE }
}

async function makeFolder(parent: string, name: string, owner?: User): Promise<string> {
  const path = join(parent, name)
  await mkdir(path)
  if (owner !== undefined) await chown(path, owner.uid, owner.gid)
  return path
}
