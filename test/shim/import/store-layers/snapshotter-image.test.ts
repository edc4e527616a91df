import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../../node/bed.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import type { Shim } from '../../../node/shim.ts'
import { writeSnapshotterFlake } from './snapshotter-flake.ts'

let bed: Bed
let flakeUrl: string
const shims: Record<string, Shim> = {}
beforeAll(async () => {
  bed = await startBed()
  flakeUrl = await writeSnapshotterFlake(bed.dir)
  for (const layers of ['linked', 'tar']) shims[layers] = await bed.startShim({ config: { import: { layers } } })
})
afterAll(() => bed[Symbol.asyncDispose]())

function pull(packageName: string, layers: string) {
  const image = `registry.example/mounted/${packageName}/${layers}:1`
  return bed.cri(shims[layers]?.socket).pullImage(recipePull({ image, flakeUrl, packageName }))
}

test.each([
  ['numbered store paths', 'numbered', 'linked'],
  ['numbered store paths', 'numbered', 'tar'],
  ['a list of its closure', 'closure', 'linked'],
])('an image of nix-snapshotter has what its annotations name: %s (%s, %s)', async (_, packageName, layers) => {
  const imageId = await pull(packageName, layers)
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'mounted\n' })
  expect(await pull(packageName, layers)).toBe(imageId)
})

test('an image whose mount points are named in an unknown way is rejected', async () => {
  await expect(pull('unknown', 'linked')).rejects.toThrow(
    'the image archive has a layer of mount points for nix-snapshotter, but names what to mount in an unknown way: ' +
      'its annotations are containerd.io/snapshot/nix-bundle',
  )
})
