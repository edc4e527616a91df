import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../../node/bed.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import type { Shim } from '../../../node/shim.ts'
import { nix2containerDigests, writeNix2ContainerFlake } from './nix2container-bed.ts'
import { LARGE_BYTES, type Nix2ContainerFlake, UNKNOWN_DIGESTS } from './nix2container-flake.ts'

const MODES = ['linked', 'tar'] as const
type Mode = (typeof MODES)[number]

let bed: Bed
const shims = new Map<Mode, Shim>()
beforeAll(async () => {
  bed = await startBed()
  for (const layers of MODES) shims.set(layers, await bed.startShim({ config: { import: { layers } } }))
})
afterAll(() => bed[Symbol.asyncDispose]())

describe('an image of nix2container has its files at their places', () => {
  test.each([
    ['today', { mtime: 1, hasGnames: true }],
    ['until November 2024', { mtime: 1, hasGnames: false }],
    ['until July 2024', { mtime: 0, hasGnames: false }],
  ])('linked or from tars, with the id that it has in a registry, as nix2container made it %s', async (_when, form) => {
    const { mtime } = form
    const digests = await nix2containerDigests(bed, form)
    const linked = await pullAndRun('linked', digests)
    expect(linked.output).toMatch(
      new RegExp(`^4711 ${mtime} /bin/busybox\n555 ${mtime} /nix/store/\\S+-program/bin/busybox\n$`),
    )
    expect(linked.diffIds).toEqual(digests)
    expect(await pullAndRun('tar', digests)).toEqual(linked)
  })

  test('with linked digests, if its tars are not made', async () => {
    const { output, diffIds } = await pullAndRun('linked', UNKNOWN_DIGESTS, { size: LARGE_BYTES })
    expect(output).toMatch(/^4711 1 \/bin\/busybox\n555 1 /)
    for (const digest of UNKNOWN_DIGESTS) expect(diffIds).not.toContain(digest)
    expect(new Set(diffIds).size).toBe(2)
  })
})

test.each(MODES)('an image of an unknown form is rejected, and its paths are named: %s', async mode => {
  const message =
    /a layer that is not what it says, \/nix\/store\/\S+-program: .* nix2container older than October 2022 .*or one of these paths has other content on this node.*from paths that are copied to it/
  await expect(pullAndRun(mode, UNKNOWN_DIGESTS)).rejects.toThrow(message)
})

let images = 0

async function pullAndRun(mode: Mode, digests: readonly string[], options?: Nix2ContainerFlake) {
  images += 1
  const image = `registry.example/merged:${images}`
  const flakeUrl = await writeNix2ContainerFlake(bed, digests, options)
  const pull = recipePull({ image, flakeUrl, packageName: 'image' })
  const imageId = await bed.cri(shims.get(mode)?.socket ?? '').pullImage(pull)
  const { output } = await bed.runPod({ imageId })
  return { imageId, output, diffIds: await diffIdsOf(imageId) }
}

async function diffIdsOf(imageId: string): Promise<string[]> {
  const ctr = ['--address', bed.containerdSocket, '--namespace', 'k8s.io']
  const { stdout } = await bed.run('ctr', [...ctr, 'content', 'get', imageId])
  return JSON.parse(stdout).rootfs.diff_ids
}
