import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../lib/errors.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { SANDBOX_IMAGE } from '../../test/node/containerd.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'
import type { Shim } from '../../test/node/shim.ts'
import { waitUntilNothingIsLeft } from '../left-overs.ts'
import { startPackagedShim } from '../node.ts'
import { residentMegabytes, shimMegabytes } from '../process.ts'
import type { Result } from '../result.ts'
import { type StormRecipe, writeStormRecipes } from '../storm-recipes.ts'

const CALLERS = 20
const RECIPES = 30
const STORM_MS = 240_000
const BETWEEN_KILLS_MS = 10_000
/** Every so many kills of containerd, the Nix daemon goes as well. */
const KILLS_PER_NIX_KILL = 4
/** One pull in so many is followed by the removal of an image, whoever wants that just then. */
const PULLS_PER_REMOVAL = 3
/** Nobody waits longer for an image, as long as the machine answers at all. */
const PULL_LIMIT_MS = 240_000

/**
 * 20 callers pull 30 recipes while images are removed, and containerd and the Nix daemon killed: no pull may fail for it. Afterwards every
 * image runs, and once they are removed nothing is left. The most that the shim had for itself, its helpers included.
 */
export async function measureStorm(): Promise<Result[]> {
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
  const said = [peak, afterwards, alone].map(megabytes => megabytes.toFixed(0))
  process.stderr.write(`${said[0]} MB with helpers, ${said[1]} MB afterwards; at most ${said[2]} MB without helpers\n`)
  await runAll(bed, shim, recipes)
  await waitUntilNothingIsLeft(bed, shim)
  return [{ name: 'rss.storm', value: peak, unit: 'MB', aim: '< 180' }]
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
    // A call that containerd had begun to serve fails with it.
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

/** The most that the shim had with its helpers. */
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
      throw new Error(`${recipe.image} says ${JSON.stringify(output)} and ends with ${exitCode}`)
  }
  for (const { id } of await cri.listImages()) await cri.removeImage(id)
  await bed.cri().removeImage(SANDBOX_IMAGE)
}

/** Numbers below `end`, the same in each run: Park and Miller's generator. */
function createRandom(seed: number): (end: number) => number {
  let state = seed
  return end => {
    state = (state * 48_271) % 2_147_483_647
    return state % end
  }
}
