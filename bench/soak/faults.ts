import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../lib/errors.ts'
import type { Daemon } from '../../test/node/daemon.ts'
import type { Churn } from './churn.ts'
import { fillDiskOnce } from './full-disk.ts'
import type { Outage } from './late.ts'
import type { Soak } from './node.ts'
import type { Recipes } from './recipes.ts'
import { removeUnusedImages } from './unused-images.ts'
import type { SeenPod } from './watch.ts'

/** Turns of a run. In the first quarter every daemon is restarted, shim and controller only there: afterwards their memory is compared. */
const TURNS = 24
const FIRST_TURNS = ['shim', 'controller', 'containerd', 'nix-daemon', 'kubelet', 'API server'] as const
const LATER_TURNS = ['containerd', 'nix-daemon', 'kubelet', 'API server'] as const
/** A turn in which no daemon is restarted. */
const FULL_DISK_TURN = 15
/** In these turns before it no image is removed. */
const TURNS_OF_USE = 4

export interface FaultsOptions {
  readonly soak: Soak
  readonly churn: Churn
  readonly recipes: Recipes
  readonly seen: { values(): Iterable<SeenPod> }
  readonly runMs: number
  readonly over: AbortSignal
  readonly onOutage: (outage: Outage) => void
}

/** Restarts all daemons in turn, removes unused images, rotates the token and fills the disk once. */
export async function makeFaults({ soak, churn, seen, runMs, over, onOutage }: FaultsOptions): Promise<void> {
  const daemons = daemonsOf(soak)
  let begin = performance.now()
  const untilShare = async (share: number) => {
    const early = begin + share * runMs - performance.now()
    if (early > 0) await delay(early, undefined, { signal: over }).catch(() => {})
    // After a turn that took long, the next ones come later: they must not come all at once.
    else begin -= early
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    await untilShare((turn + 0.5) / TURNS)
    if (over.aborted) return
    if (turn === FULL_DISK_TURN) await fillDiskOnce(soak, churn)
    else {
      const name = FIRST_TURNS[turn] ?? LATER_TURNS[turn % LATER_TURNS.length] ?? 'kubelet'
      const from = Date.now()
      await restart(daemons, name)
      if (name === 'containerd') onOutage({ from, to: Date.now() })
    }
    await untilShare((turn + 1) / TURNS)
    if (over.aborted) return
    await soak.rotateToken()
    // What is unused before the disk is full is for the kubelet to remove.
    if (turn < FULL_DISK_TURN - TURNS_OF_USE || turn >= FULL_DISK_TURN) await removeUnusedImages(soak.node, churn, seen)
  }
}

type Name = (typeof FIRST_TURNS)[number]

export function daemonsOf({ cluster, controller, node }: Soak): Readonly<Record<Name, Daemon>> {
  return {
    shim: node.shim.daemon,
    controller: controller.daemon,
    containerd: node.bed.containerd,
    'nix-daemon': node.bed.nixDaemon,
    kubelet: node.kubelet,
    'API server': cluster.controlPlane.apiServer,
  }
}

async function restart(daemons: Readonly<Record<Name, Daemon>>, name: Name): Promise<void> {
  process.stderr.write(`  ${new Date().toISOString()} restart of ${name}\n`)
  // An API server that is told to end refuses requests for a minute first, for the sake of those that it still serves.
  const again = name === 'API server' ? crash : (daemon: Daemon) => daemon.restart()
  await again(daemons[name]).catch(cause => {
    throw new Error(`${name} does not restart: ${messageOf(cause)}`, { cause })
  })
}

async function crash(daemon: Daemon): Promise<void> {
  await daemon.kill()
  await daemon.start()
}

/** Changes a recipe now and then. */
export async function changeRecipes(recipes: Recipes, everyMs: number, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await delay(everyMs, undefined, { signal: over }).catch(() => {})
    if (!over.aborted) await recipes.change()
  }
}
