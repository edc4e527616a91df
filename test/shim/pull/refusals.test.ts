import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { annotationName } from '../../../recipes/annotations.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample, type Example } from '../../node/example.ts'
import { type PodRecipe, recipePull } from '../../node/recipe-pull.ts'
import { PATIENT } from '../../patience.ts'
import { countBuilds } from './builds.ts'

const UNKNOWN = 2

let bed: Bed
let formats: Example

beforeAll(async () => {
  bed = await startBed()
  formats = await copyExample('formats', bed.dir)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** A nix that leaves a file when it is run. */
async function makeTrap(): Promise<{ command: string; ran: () => Promise<boolean> }> {
  const command = join(bed.dir, 'nix-trap')
  const mark = join(bed.dir, 'nix-ran')
  await writeFile(command, `#!/bin/sh\ntouch ${mark}\nexit 1\n`, { mode: 0o755 })
  return { command, ran: async () => (await bed.run('test', ['-e', mark], { reject: false })).exitCode === 0 }
}

describe('a pull that the policy does not allow is refused without nix, and the message says why', () => {
  const rule = { namespaces: ['team-a'], images: ['registry.example/team/*'], flakes: ['github:team/*'] }
  const allowed: PodRecipe = { image: 'registry.example/team/app:1', flakeUrl: 'github:team/app', packageName: 'image' }

  it.each([
    ['another namespace', 'prod', allowed, 'namespace "prod"'],
    ['another image', 'team-a', { ...allowed, image: 'registry.example/other/app:1' }, 'registry.example/other/app:1'],
    ['another flake', 'team-a', { ...allowed, flakeUrl: 'github:other/app' }, 'github:other/app'],
    ['a local flake', 'team-a', { ...allowed, flakeUrl: 'path:/etc' }, 'path:'],
  ])('%s', async (_name, namespace, recipe, reason) => {
    const nix = await makeTrap()
    const shim = await bed.startShim({
      config: { nix: { command: nix.command, user: bed.buildUser.name }, policy: [rule] },
    })
    const pull = { ...recipePull(recipe), namespace }
    await expect(bed.cri(shim.socket).pullImage(pull)).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining(reason),
    })
    expect(await nix.ran()).toBe(false)
    await shim.daemon.stop()
  })

  it("a system that is not the node's", async () => {
    const shim = await bed.startShim()
    const pull = recipePull({ ...allowed, flakeUrl: formats.url })
    const annotations = { ...pull.annotations, [annotationName('system')]: 'riscv64-linux' }
    await expect(bed.cri(shim.socket).pullImage({ ...pull, annotations })).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('riscv64-linux'),
    })
    expect(await countBuilds(shim)).toBe(0)
    await shim.daemon.stop()
  })
})

describe('an image that no shim put there', () => {
  const image = 'registry.example/foreign/app:1'
  const policy = (replaceForeign: boolean) => [
    { namespaces: ['*'], images: ['**'], flakes: ['path:/**'], replaceForeign },
  ]
  const tag = (source: string) =>
    bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'images', 'tag', '--force', source, image])

  it('is not replaced unless the rule has replaceForeign', async () => {
    const recipe = { image, flakeUrl: formats.url, packageName: 'docker-archive' }
    const strict = await bed.startShim({ config: { policy: policy(false) } })
    const foreignId = await bed
      .cri(strict.socket)
      .pullImage(recipePull({ ...recipe, image: 'registry.example/source/app:1', packageName: 'oci-layout' }))
    await tag('registry.example/source/app:1')
    await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'images', 'label', image, 'enbi.hrzn.ee/recipe='])
    await expect.poll(() => bed.cri().imageStatus(image), PATIENT).toMatchObject({ id: foreignId })
    await expect(bed.cri(strict.socket).pullImage(recipePull(recipe))).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('replaceForeign'),
    })
    expect(await bed.cri().imageStatus(image)).toMatchObject({ id: foreignId })
    await strict.daemon.stop()

    const lenient = await bed.startShim({ config: { policy: policy(true) } })
    const id = await bed.cri(lenient.socket).pullImage(recipePull(recipe))
    expect(await bed.cri().imageStatus(image)).toMatchObject({ id })
    await lenient.daemon.stop()
  })
})
