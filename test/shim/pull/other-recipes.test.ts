import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { SANDBOX_IMAGE } from '../../node/containerd.ts'
import type { CriClient } from '../../node/cri.ts'
import { addGate, copyExample, type Example } from '../../node/example.ts'
import { allAnnotations, type PodRecipe } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { readStatus } from '../status/read-status.ts'
import { countBuilds, untilLogged } from './builds.ts'

let bed: Bed
let shim: Shim
let kubelet: CriClient
let formats: Example
let gate: string

beforeAll(async () => {
  bed = await startBed()
  const flakes = ['path:/**']
  const policy = ['first', 'second', 'other'].map(name => ({
    namespaces: ['*'],
    images: [`registry.example/${name}/**`],
    flakes,
  }))
  shim = await bed.startShim({ config: { policy, nix: { user: bed.buildUser.name, maxQueuedPerNamespace: 2 } } })
  kubelet = bed.cri(shim.socket)
  formats = await copyExample('formats', bed.dir)
  gate = await addGate(formats)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** The flake is not locked: each pull of its own evaluates it again. */
function recipeOf(name: string, packageName: string, kind = 'second'): PodRecipe {
  return { image: `registry.example/${kind}/${name}:1`, flakeUrl: formats.url, packageName }
}

/** Pulls one image of a pod that has all of these recipes. */
function pull(podName: string, image: string, ...recipes: PodRecipe[]): Promise<string> {
  return kubelet.pullImage({ image, annotations: allAnnotations(recipes), podName })
}

describe('the first pull of a pod', () => {
  it('starts the builds of its other images, and their own pulls are answered with the results', async () => {
    const first = recipeOf('both', 'gated', 'first')
    const second = recipeOf('both', 'docker-archive')
    const pulled = pull('both', first.image, first, second)
    await untilLogged(shim, 'pull of a recipe done', second.image)
    const { runs } = await readStatus(shim.socket)
    expect(runs).toMatchObject([{ image: first.image }])
    await writeFile(gate, '')
    await pulled
    const { id } = await bed.cri().waitForImage(second.image)
    await expect(pull('both', second.image, first, second)).resolves.toBe(id)
    expect(await countBuilds(shim, second.image)).toBe(1)
  })

  it('starts builds of its other images, although its own image is from a registry', async () => {
    const second = recipeOf('beside-registry', 'oci-archive')
    await expect(pull('beside-registry', SANDBOX_IMAGE, second)).rejects.toMatchObject({ code: expect.any(Number) })
    await bed.cri().waitForImage(second.image)
  })

  it('logs that an image without a recipe has nearly the name of one in an annotation', async () => {
    const named = recipeOf('app', 'docker-archive')
    await expect(pull('drifted', 'localhost:1/mirror/app:2', named)).rejects.toMatchObject({ code: expect.any(Number) })
    const message = 'an image without a recipe cannot be pulled, and an annotation of its pod names a similar one'
    await untilLogged(shim, message, `"named":"${named.image}"`)
  })

  it('succeeds if another image of the pod is refused, and says so', async () => {
    const first = recipeOf('refused', 'docker-archive', 'first')
    const refused = recipeOf('refused', 'docker-archive', 'forbidden')
    // Builds of other tests count for the same namespace until they have ended.
    await expect.poll(async () => (await readStatus(shim.socket)).runs, PATIENT).toEqual([])
    await expect(pull('refused', first.image, first, refused)).resolves.toMatch(/^sha256:/)
    const results = async () => (await readStatus(shim.socket)).results
    const refusal = { image: refused.image, errorCode: 'PolicyRefused' }
    await expect.poll(results, PATIENT).toContainEqual(expect.objectContaining(refusal))
  })

  it('succeeds if the pod has more images than its namespace may request, and those are made with their own pulls', async () => {
    const recipes = ['one', 'two', 'three', 'four'].map(name => recipeOf(`many-${name}`, 'docker-archive', 'other'))
    for (const { image } of recipes) await expect(pull('many', image, ...recipes)).resolves.toMatch(/^sha256:/)
  })

  it('leaves an image that is present as it is', async () => {
    const first = recipeOf('fresh', 'docker-archive', 'first')
    const present = recipeOf('present', 'oci-layout')
    await pull('earlier', present.image, present)
    await expect(pull('later', first.image, first, present)).resolves.toMatch(/^sha256:/)
    expect(await countBuilds(shim, present.image)).toBe(1)
  })
})
