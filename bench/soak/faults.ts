import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../lib/errors.ts'
import type { Daemon } from '../../test/node/daemon.ts'
import type { Churn } from './churn.ts'
import { fillDiskOnce } from './full-disk.ts'
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
  readonly seen: { values(): Iterable<SeenPod> }
  /** Faults are made throughout this time, and all of them, even if they take longer. */
  readonly runMs: number
  readonly signal: AbortSignal
}

/** The time in which a daemon did not answer, in milliseconds since 1970. */
export interface Restart {
  readonly daemon: Name
  readonly from: number
  readonly to: number
}

/** Restarts all daemons in turn, removes unused images, rotates the token and fills the disk once. Rejects if it is aborted. */
export async function makeFaults({ soak, churn, seen, runMs, signal }: FaultsOptions): Promise<Restart[]> {
  const daemons = daemonsOf(soak)
  const restarts: Restart[] = []
  const endAt = performance.now() + runMs
  let pausesLeft = 2 * TURNS
  const pause = async () => {
    const left = Math.max(0, endAt - performance.now())
    await delay(left / (pausesLeft + 1), undefined, { signal })
    pausesLeft -= 1
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    await pause()
    if (turn === FULL_DISK_TURN) await fillDiskOnce(soak, churn)
    else restarts.push(await restart(daemons, FIRST_TURNS[turn] ?? LATER_TURNS[turn % LATER_TURNS.length] ?? 'kubelet'))
    await pause()
    await soak.rotateToken()
    // What is unused before the disk is full is for the kubelet to remove.
    if (turn < FULL_DISK_TURN - TURNS_OF_USE || turn >= FULL_DISK_TURN) await removeUnusedImages(soak.node, churn, seen)
  }
  return restarts
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

async function restart(daemons: Readonly<Record<Name, Daemon>>, name: Name): Promise<Restart> {
  process.stderr.write(`  ${new Date().toISOString()} restart of ${name}\n`)
  requireRunning(daemons)
  const from = Date.now()
  // An API server that is told to end refuses requests for a minute first, for the sake of those that it still serves.
  const again = name === 'API server' ? crash : (daemon: Daemon) => daemon.restart()
  await again(daemons[name]).catch(cause => {
    throw new Error(`${name} does not restart: ${messageOf(cause)}`, { cause })
  })
  return { daemon: name, from, to: Date.now() }
}

/** Throws if a daemon has ended by itself. */
export function requireRunning(daemons: Readonly<Record<string, Daemon>>): void {
  const ended = Object.keys(daemons).filter(name => daemons[name]?.pid === undefined)
  if (ended.length > 0) throw new Error(`${ended.join(', ')} ended`)
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
