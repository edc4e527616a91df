import { chmod, cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hostSystem } from '../../../shim/build/system.ts'
import { hostPlatform } from '../../../shim/import/config.ts'
import { startBed } from '../../node/bed.ts'
import { recipePull } from '../../node/recipe-pull.ts'

const FLAKE = join(import.meta.dirname, 'snapshotter-flake')

test.each(['linked', 'tar'])('an image of nix-snapshotter has what its annotations name: %s', async layers => {
  await using bed = await startBed()
  const dir = join(bed.dir, 'flake')
  await cp(FLAKE, dir, { recursive: true })
  await chmod(dir, 0o755)
  const settings = { system: hostSystem(), architecture: hostPlatform().architecture }
  await writeFile(join(dir, 'settings.json'), JSON.stringify(settings))
  const shim = await bed.startShim({ config: { import: { layers } } })
  const pull = recipePull({ image: 'registry.example/mounted:1', flakeUrl: `path:${dir}`, packageName: 'image' })
  const imageId = await bed.cri(shim.socket).pullImage(pull)
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'mounted\n' })
  expect(await bed.cri(shim.socket).pullImage(pull)).toBe(imageId)
})
