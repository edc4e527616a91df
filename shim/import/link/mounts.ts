import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** One line of /proc/PID/mountinfo (proc(5)). */
export interface MountPoint {
  /** `major:minor` of the file system. */
  readonly device: string
  /** The mounted part of the file system: a path from its root. */
  readonly root: string
  /** Where it is mounted. */
  readonly path: string
  readonly readOnly: boolean
}

/** In the order of the text: later mounts come later. */
export function parseMountInfo(text: string): MountPoint[] {
  return text.split('\n').flatMap(line => {
    const [, , device, root, path, options] = line.split(' ')
    if (!device || !root || !path || options === undefined) return []
    return [
      { device, root: unescapeOctal(root), path: unescapeOctal(path), readOnly: options.split(',').includes('ro') },
    ]
  })
}

/** Space, tab, newline and backslash are written as octal numbers. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** A path within its file system, independent of mounts. */
export interface FileSystemPath {
  readonly device: string
  /** From the root of the file system. */
  readonly path: string
}

/** The mount that shows an absolute path: the latest of the longest mount points that cover it. */
export function mountOf(mounts: readonly MountPoint[], path: string): MountPoint | undefined {
  let best: MountPoint | undefined
  for (const mount of mounts)
    if (below(mount.path, path) !== undefined && mount.path.length >= (best?.path.length ?? 0)) best = mount
  return best
}

/** Finds an absolute path in its file system. */
export function fileSystemPath(mounts: readonly MountPoint[], path: string): FileSystemPath | undefined {
  const mount = mountOf(mounts, path)
  return mount && { device: mount.device, path: join(mount.root, below(mount.path, path) ?? '') }
}

/** Mount points of one file system that show both paths, unless another mount covers these. */
export function commonMounts(
  mounts: readonly MountPoint[],
  one: FileSystemPath,
  other: FileSystemPath,
): readonly MountPoint[] {
  if (one.device !== other.device) return []
  const shows = ({ root }: MountPoint, { path }: FileSystemPath) => below(root, path) !== undefined
  return mounts.filter(mount => mount.device === one.device && shows(mount, one) && shows(mount, other))
}

/** The path below a folder that the mount is bound to. */
export function pathThrough(folder: string, { root }: MountPoint, { path }: FileSystemPath): string {
  return join(folder, below(root, path) ?? '')
}

/** The rest of the path after the parent, with a leading slash; undefined if the path is not below it. */
function below(parent: string, path: string): string | undefined {
  if (parent === '/') return path === '/' ? '' : path
  if (path === parent) return ''
  return path.startsWith(`${parent}/`) ? path.slice(parent.length) : undefined
}

function join(parent: string, rest: string): string {
  if (rest === '') return parent
  return parent === '/' ? rest : `${parent}${rest}`
}

/** A mount that no other process sees. */
export interface PrivateMount {
  /** Valid in this process, including its threads. */
  readonly path: string
  close(): Promise<void>
}

const START_LIMIT_MS = 5_000

/** The paths are arguments, not a part of the script. */
const HOLD = 'mount --bind "$1" "$2" && echo ready && exec cat'

/**
 * Binds a mount point, without mounts below it, to a new folder in a mount namespace of its own, which needs a small process for a
 * moment. The open descriptor stays valid when process, namespace and folder are gone, so a killed process leaves nothing behind.
 * The folder's name begins with `prefix`. Throws if that is not permitted, or if a program is missing.
 */
export async function openPrivateMount(source: string, prefix: string): Promise<PrivateMount> {
  await mkdir(dirname(prefix), { recursive: true, mode: 0o700 })
  const folder = await mkdtemp(`${prefix}-`)
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', source, folder]
  const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  try {
    await untilReady(holder)
    const opened = openSync(`/proc/${holder.pid}/root${folder}`, constants.O_RDONLY | constants.O_DIRECTORY)
    return { path: `/proc/self/fd/${opened}`, close: async () => closeSync(opened) }
  } finally {
    await end(holder)
    await rmdir(folder)
  }
}

type Holder = ChildProcessByStdio<Writable, Readable, Readable>

async function untilReady(holder: Holder): Promise<void> {
  const complaints: string[] = []
  holder.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const signal = AbortSignal.timeout(START_LIMIT_MS)
  const ended = once(holder, 'exit', { signal }).then(() => {
    throw new Error(complaints.join('').trim() || 'unshare and mount failed')
  })
  const ready = once(holder.stdout, 'data', { signal })
  await Promise.race([ready, ended])
  ended.catch(() => {})
}

/** Also ends a process that does not get ready: it may hang in a mount. */
async function end(holder: Holder): Promise<void> {
  holder.stdin.on('error', () => {}).end()
  if (holder.pid === undefined || holder.exitCode !== null || holder.signalCode !== null) return
  holder.kill('SIGKILL')
  await once(holder, 'exit')
}
