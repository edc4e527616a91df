import { startBed } from '../../test/node/bed.ts'
import { askStatus, latencies } from '../calls.ts'
import { pullSmallImage, SHIM_PROGRAM, startPackagedShim } from '../fixtures/node.ts'
import { raisePriority } from '../raise-priority.ts'
import { median } from '../statistics.ts'

const RULES = 1000
const WARM_UP = 2500
/** Calls that restore caches and clock rates after the other shim had its turn. */
const RE_WARM = 200
const CALLS = 700
const ROUNDS = 12

/**
 * ImageStatus of an image that no name rule matches, through a shim with a thousand rules for the same host and depth and through one
 * without rules. Half of the rules are for package sets.
 */
export async function measureNames() {
  using _priority = raisePriority()
  await using bed = await startBed()
  const plain = await startPackagedShim(bed)
  const names = Array.from({ length: RULES / 2 }, (_, n) => [
    {
      images: `docker.io/team-${n}/{name}`,
      flake: `git+https://git.example/team-${n}/{name}?ref={tag}`,
      package: 'image',
    },
    { images: `docker.io/pkgs-${n}/{contents}`, packages: `git+https://git.example/pkgs-${n}` },
  ]).flat()
  const ruled = await bed.startShim({ ...SHIM_PROGRAM, config: { names } })
  const image = await pullSmallImage(bed, plain)
  const ways = {
    without: { call: askStatus(bed.cri(plain.socket), image), samples: [] as number[] },
    with: { call: askStatus(bed.cri(ruled.socket), image), samples: [] as number[] },
  }
  for (const { call } of Object.values(ways)) await latencies(call, WARM_UP)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { call, samples } of Object.values(ways)) {
      await latencies(call, RE_WARM)
      samples.push(...(await latencies(call, CALLS)))
    }
  }
  const added = 1000 * (median(ways.with.samples) - median(ways.without.samples))
  return { 'names.match': added }
}
