import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../lib/errors.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { SANDBOX_IMAGE } from '../../test/node/containerd.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'
import type { Shim } from '../../test/node/shim.ts'
import { startPackagedShim } from '../fixtures/node.ts'
import { type StormRecipe, writeStormRecipes } from '../fixtures/storm-recipes.ts'
import { waitUntilNothingLeft } from '../leftovers.ts'
import { residentMegabytes, shimMegabytes } from '../process.ts'

const CALLERS = 20
const RECIPES = 30
const STORM_MS = 240_000
const BETWEEN_KILLS_MS = 10_000
/** One in so many kills of containerd also kills the Nix daemon. */
const KILLS_PER_NIX_KILL = 4
/** One in so many pulls is followed by the removal of an image, even if another caller is pulling it. */
const PULLS_PER_REMOVAL = 3
/** No pull takes longer, unless the machine hangs. */
const PULL_LIMIT_MS = 240_000

/**
 * Peak memory of the shim and its helpers while 20 callers pull 30 recipes. Meanwhile images are removed, and containerd and the Nix daemon
 * are killed: no pull may fail. Afterwards each image must run, and nothing may be left when all are removed.
 */
export async function measureStorm() {
  await using bed = await startBed()
  const recipes = await writeStormRecipes(bed, RECIPES)
  const shim = await startPackagedShim(bed)
  const over = AbortSignal.timeout(STORM_MS)
  const [peak] = await Promise.all([
    watchMemory(shim, over),
    killDaemons(bed, over),
    ...Array.from({ length: CALLERS }, (_, caller) => callUntil(over, bed, shim, recipes, caller + 1)),
  ])
  const [alone, afterwards] = [await residentMegabytes(shim.daemon.pid, 'VmHWM'), await shimMegabytes(shim)]
  const shown = [peak, afterwards, alone].map(megabytes => megabytes.toFixed(0))
  process.stderr.write(`  peak: ${shown[0]} MB with helpers, ${shown[2]} MB without; afterwards ${shown[1]} MB\n`)
  await runAll(bed, shim, recipes)
  await waitUntilNothingLeft(bed, shim)
  return { 'rss.storm': peak }
}

async function callUntil(over: AbortSignal, bed: Bed, shim: Shim, recipes: readonly StormRecipe[], seed: number) {
  const cri = bed.cri(shim.socket)
  const random = createRandom(seed)
  const any = () => recipes[random(recipes.length)]
  while (!over.aborted) {
    const recipe = any()
    if (recipe === undefined) return
    await cri.pullImage(recipePull(recipe), { limitMs: PULL_LIMIT_MS }).catch(cause => {
      throw new Error(`pulling ${recipe.image} failed: ${messageOf(cause)}`, { cause })
    })
    // The call fails if containerd is killed while it serves it.
    if (random(PULLS_PER_REMOVAL) === 0) await cri.removeImage(any()?.image ?? '').catch(() => {})
  }
}

async function killDaemons(bed: Bed, over: AbortSignal): Promise<void> {
  for (let kills = 1; ; kills += 1) {
    await delay(BETWEEN_KILLS_MS, undefined, { signal: over }).catch(() => {})
    if (over.aborted) return
    const isNixToo = kills % KILLS_PER_NIX_KILL === 0
    await Promise.all([bed.containerd.kill(), isNixToo && bed.nixDaemon.kill()])
    await Promise.all([bed.containerd.start(), isNixToo && bed.nixDaemon.start()])
  }
}

const SAMPLE_MS = 200

/** Peak memory in MB of the shim and its helpers. */
async function watchMemory(shim: Shim, over: AbortSignal): Promise<number> {
  let most = 0
  while (!over.aborted) {
    most = Math.max(most, await shimMegabytes(shim))
    await delay(SAMPLE_MS)
  }
  return most
}

async function runAll(bed: Bed, shim: Shim, recipes: readonly StormRecipe[]): Promise<void> {
  const cri = bed.cri(shim.socket)
  for (const recipe of recipes) {
    const imageId = await cri.pullImage(recipePull(recipe), { limitMs: PULL_LIMIT_MS })
    const { output, exitCode } = await bed.runPod({ imageId })
    if (exitCode !== 0 || output !== `${recipe.name}\n`)
      throw new Error(`${recipe.image} prints ${JSON.stringify(output)} and exits with ${exitCode}`)
  }
  for (const { id } of await cri.listImages()) await cri.removeImage(id)
  await bed.cri().removeImage(SANDBOX_IMAGE)
}

/** Returns numbers below `end`, the same in each run, by Park and Miller's generator. */
function createRandom(seed: number): (end: number) => number {
  let state = seed
  return end => {
    state = (state * 48_271) % 2_147_483_647
    return state % end
  }
}
