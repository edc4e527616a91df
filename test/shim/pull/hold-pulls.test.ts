import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeStillBuilding } from '../../../shim/pull/hold-pull.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import type { CriClient, Pull } from '../../node/cri.ts'
import { addGate, copyExample } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { countBuilds, untilLogged } from './builds.ts'

const STILL_BUILDING = { code: 2, details: expect.stringMatching(/^still building \(.+\): the build continues/) }

let bed: Bed
let shim: Shim
let kubelet: CriClient

beforeAll(async () => {
  bed = await startBed()
  const nix = { user: bed.buildUser.name, maxBuilds: 4, holdPulls: '1s', abandonAfter: '1ms' }
  shim = await bed.startShim({ config: { nix } })
  kubelet = bed.cri(shim.socket)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** The pull of an image whose unlocked flake waits in its builder until the gate is opened. */
async function makeGated(name: string): Promise<{ pull: Pull; open(): Promise<void> }> {
  const example = await copyExample('formats', bed.dir)
  const gate = await addGate(example)
  const image = `registry.example/held/${name}:1`
  const pull = { ...recipePull({ image, packageName: 'gated', flakeUrl: example.url }), podName: name }
  return { pull, open: () => writeFile(gate, '') }
}

/** Pulls once: the image id, or what the kubelet shows. */
function pullOnce(pull: Pull): Promise<string> {
  return kubelet.pullImage(pull).catch((error: { details: string }) => error.details)
}

describe('a pull that has waited for nix.holdPulls', () => {
  it('fails with the progress of its build, which the next pull of the pod joins', async () => {
    const { pull, open } = await makeGated('joined')
    await expect
      .poll(() => pullOnce(pull), PATIENT)
      .toBe('still building (0 of 1): the build continues, and the next pull joins it')
    await open()
    await expect.poll(() => pullOnce(pull), PATIENT).toMatch(/^sha256:/)
    expect(await countBuilds(shim, pull.image)).toBe(1)
  })

  it('is answered with the result that came while nobody waited, when the pod pulls again', async () => {
    const { pull, open } = await makeGated('kept')
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject(STILL_BUILDING)
    await open()
    await untilLogged(shim, 'pull of a recipe done', pull.image)
    await expect.poll(() => pullOnce(pull), PATIENT).toMatch(/^sha256:/)
    expect(await countBuilds(shim, pull.image)).toBe(1)
  })

  it('is not answered with a result whose image was removed meanwhile', async () => {
    const { pull, open } = await makeGated('removed')
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject(STILL_BUILDING)
    await open()
    await untilLogged(shim, 'pull of a recipe done', pull.image)
    await bed.cri().removeImage(pull.image)
    await expect.poll(() => pullOnce(pull), PATIENT).toMatch(/^sha256:/)
    expect(await bed.cri().imageStatus(pull.image)).toBeDefined()
  })

  it('does not end before its image is there if it is not for a pod', async () => {
    const [held, { pull, open }] = await Promise.all([makeGated('beside'), makeGated('by-hand')])
    const byHand = kubelet.pullImage({ ...pull, podName: '' })
    await expect(kubelet.pullImage(held.pull)).rejects.toMatchObject(STILL_BUILDING)
    await Promise.all([open(), held.open()])
    await expect(byHand).resolves.toMatch(/^sha256:/)
  })
})

it.each([
  ['starting', undefined],
  ['waiting, 2 ahead', { phase: 'queued', ahead: 2 }],
  ['evaluating the flake', { phase: 'evaluating', runId: 'run' }],
  ['building hello', { phase: 'building', done: 0, expected: 0, current: 'hello' }],
  ['12 of 40', { phase: 'building', done: 12, expected: 40, current: 'hello' }],
  ['fetching 1.0 MB of 2.0 MB', { phase: 'fetching', doneBytes: 1e6, expectedBytes: 2e6 }],
  ['importing 1.0 MB', { phase: 'importing', doneBytes: 1e6 }],
] as const)('a pull that is held tells of its build: %s', (words, progress) => {
  expect(describeStillBuilding(progress)).toBe(`still building (${words})`)
})
