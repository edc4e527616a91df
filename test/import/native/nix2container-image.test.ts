import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import { nix2containerFlake } from './nix2container-flake.ts'

let bed: Bed
beforeAll(async () => {
  bed = await startBed()
})
afterAll(() => bed[Symbol.asyncDispose]())

const IMAGE = 'registry.example/merged:1'
const UNKNOWN = [1, 2].map(n => `sha256:${`${n}`.repeat(64)}`)

test('an image of nix2container has its files where it wants them, linked or by tars', {
  timeout: 180_000,
}, async () => {
  const linked = await pullAndRun('linked', UNKNOWN)
  expect(linked.output).toMatch(/^4711 \/bin\/busybox\n555 \/nix\/store\/\S+-program\/bin\/busybox\n$/)

  const digests = [...UNKNOWN]
  while (digests.some(digest => UNKNOWN.includes(digest))) {
    // The layers are made beside one another: either may be told first.
    const told = await pullAndRun('tar', digests).catch((error: Error) => error.message)
    const [, wrong = '', digest = ''] = /names a layer (\S+) that is (sha256:[0-9a-f]{64})/.exec(String(told)) ?? []
    expect(UNKNOWN).toContain(wrong)
    digests[digests.indexOf(wrong)] = digest
  }
  const tars = await pullAndRun('tar', digests)
  expect(tars.output).toBe(linked.output)
  expect(await pullAndRun('linked', digests)).toEqual(tars)
})

let flakes = 0

async function pullAndRun(layers: 'linked' | 'tar', digests: readonly string[]) {
  flakes += 1
  const dir = join(bed.dir, `flake-${flakes}`)
  await mkdir(dir)
  await chmod(dir, 0o755)
  await writeFile(join(dir, 'flake.nix'), nix2containerFlake(digests))
  const shim = await bed.startShim({ config: { import: { layers } } })
  try {
    const pull = recipePull({ image: IMAGE, flakeUrl: `path:${dir}`, packageName: 'image' })
    const imageId = await bed.cri(shim.socket).pullImage(pull)
    return { imageId, output: (await bed.runPod({ imageId })).output }
  } finally {
    await shim.daemon.stop()
  }
}
