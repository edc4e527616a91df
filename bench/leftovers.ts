import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bed } from '../test/node/bed.ts'
import { descendants } from '../test/node/process-tree.ts'
import type { Shim } from '../test/node/shim.ts'

/** Longer than an idle helper waits for work. */
const LIMIT_MS = 90_000
const PAUSE_MS = 1000

/** Waits until containerd and the shim have deleted all that belongs to removed images. Throws with a list of what is left. */
export async function waitUntilNothingLeft(bed: Bed, shim: Shim): Promise<void> {
  const giveUpAt = performance.now() + LIMIT_MS
  for (;;) {
    const left = Object.entries(await findLeftovers(bed, shim)).filter(([, list]) => list.length > 0)
    if (left.length === 0) return
    if (performance.now() > giveUpAt)
      throw new Error(`left after the removal of all images: ${JSON.stringify(Object.fromEntries(left))}`)
    await delay(PAUSE_MS)
  }
}

/** Names of what is left, by kind. */
export async function findLeftovers(bed: Bed, shim: Shim) {
  const ctr = async (...args: string[]) => {
    const command = ['--address', bed.containerdSocket, '--namespace', 'k8s.io', ...args]
    return linesOf((await bed.run('ctr', command)).stdout)
  }
  // The disk of the store may be one that only the bed has.
  const namesIn = async (folder: string) => linesOf((await bed.run('ls', ['-A', folder])).stdout)
  // Triggers containerd's garbage collection.
  await ctr('leases', 'create', '--id', 'collect')
  await ctr('leases', 'rm', '--sync', 'collect')
  const pid = shim.daemon.pid ?? 0
  const mounts = linesOf(await readFile(`/proc/${pid}/mounts`, 'utf8'))
  return {
    leases: await ctr('leases', 'ls', '-q'),
    images: await ctr('images', 'ls', '-q'),
    blobs: await ctr('content', 'ls', '-q'),
    unfinished: (await ctr('content', 'active')).slice(1),
    snapshots: (await ctr('snapshots', 'ls')).slice(1),
    snapshotFolders: await namesIn(join(bed.containerdRoot, 'io.containerd.snapshotter.v1.overlayfs/snapshots')),
    gcRoots: await namesIn(join(shim.stateDir, 'gcroots')),
    mounts: mounts.filter(line => line.includes(shim.stateDir) || line.includes(bed.containerdRoot)),
    processes: descendants(pid).map(String),
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter(line => line !== '')
}
