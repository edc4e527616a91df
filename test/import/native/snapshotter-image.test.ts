import { expect, test } from 'vitest'
import { startBed } from '../../node/bed.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import { writeSnapshotterFlake } from './snapshotter-flake.ts'

test.each(['linked', 'tar'])('an image of nix-snapshotter has what its annotations name: %s', async layers => {
  await using bed = await startBed()
  const flakeUrl = await writeSnapshotterFlake(bed.dir)
  const shim = await bed.startShim({ config: { import: { layers } } })
  const pull = recipePull({ image: 'registry.example/mounted:1', flakeUrl, packageName: 'image' })
  const imageId = await bed.cri(shim.socket).pullImage(pull)
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'mounted\n' })
  expect(await bed.cri(shim.socket).pullImage(pull)).toBe(imageId)
})
