import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectContainerd } from '../../../shim/containerd/connect.ts'
import { getImage, putImage } from '../../../shim/containerd/services/images.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { SANDBOX_IMAGE } from '../../node/containerd.ts'
import type { CriClient } from '../../node/cri.ts'
import { copyExample, type Example, lockExample } from '../../node/example.ts'
import { recipeAnnotations, recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { countBuilds, countLogged } from './builds.ts'

let bed: Bed
let shim: Shim
let kubelet: CriClient
let formats: Example
let failures: Example

beforeAll(async () => {
  bed = await startBed()
  shim = await bed.startShim()
  kubelet = bed.cri(shim.socket)
  formats = await copyExample('formats', bed.dir)
  await writeFile(join(formats.dir, 'gate'), join(bed.dir, 'gate'))
  formats = await lockExample(formats, bed.run)
  failures = await lockExample(await copyExample('failures', bed.dir), bed.run)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

function pullOf(image: string, packageName: string, flakeUrl = formats.url) {
  return recipePull({ image, packageName, flakeUrl })
}

describe('a pull of an image that no registry has', () => {
  it('answers with the id of an image that runs as a container', async () => {
    const id = await kubelet.pullImage(pullOf('registry.example/team/app:1', 'docker-archive'))
    expect(await kubelet.imageStatus('registry.example/team/app:1')).toMatchObject({ id, size: expect.any(Number) })
    const { output, exitCode } = await bed.runPod({ imageId: id })
    expect({ output, exitCode }).toEqual({ output: 'hello from a Nix-built image\n', exitCode: 0 })
  })

  it.each(['image', 'sandbox'] as const)('finds annotations that come with the %s only', async place => {
    const pull = { ...pullOf(`registry.example/places/${place}:1`, 'docker-archive'), places: [place] }
    await expect(kubelet.pullImage(pull)).resolves.toMatch(/^sha256:/)
  })

  it('runs no nix for a second pull if the flake is locked', async () => {
    const pull = pullOf('registry.example/again/app:1', 'docker-archive-gzip')
    const first = await kubelet.pullImage(pull)
    const builds = await countBuilds(shim)
    await expect(kubelet.pullImage(pull)).resolves.toBe(first)
    expect(await countBuilds(shim)).toBe(builds)
  })

  it('answers with its own image even if the name has been moved to another one', async () => {
    const pull = pullOf('registry.example/pointed/app:1', 'docker-archive')
    const first = await kubelet.pullImage(pull)
    await bed.runPod({ imageId: first })
    // As a pull by containerd does: the labels stay.
    using calls = connectContainerd({ address: bed.containerdSocket })
    const other = await getImage(calls, SANDBOX_IMAGE)
    expect(other).toBeDefined()
    if (other) await putImage(calls, { name: 'registry.example/pointed/app:1', labels: {}, target: other.target })
    await expect
      .poll(async () => (await bed.cri().imageStatus('registry.example/pointed/app:1'))?.id, PATIENT)
      .not.toBe(first)
    await expect(kubelet.pullImage(pull)).resolves.toBe(first)
  })

  it('runs no nix after the image was removed, while its result is in the store', async () => {
    const pull = pullOf('registry.example/removed/app:1', 'oci-archive')
    const first = await kubelet.pullImage(pull)
    const builds = await countBuilds(shim)
    await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'images', 'rm', 'registry.example/removed/app:1'])
    await expect(kubelet.pullImage(pull)).resolves.toBe(first)
    expect(await countBuilds(shim)).toBe(builds)
  })

  it('evaluates an unlocked flake again, and keeps the image if the result is the same', async () => {
    const unlocked = pullOf('registry.example/unlocked/app:1', 'oci-layout', `path:${formats.dir}`)
    const first = await kubelet.pullImage(unlocked)
    const builds = await countBuilds(shim)
    await expect(kubelet.pullImage(unlocked)).resolves.toBe(first)
    expect(await countBuilds(shim)).toBe(builds + 1)
  })

  it('takes one build for 50 concurrent callers', async () => {
    const builds = await countBuilds(shim)
    const pull = pullOf('registry.example/crowd/app:1', 'docker-archive-misnamed')
    const ids = await Promise.all(Array.from({ length: 50 }, () => kubelet.pullImage(pull)))
    expect(new Set(ids).size).toBe(1)
    expect(await countBuilds(shim)).toBe(builds + 1)
  })

  it('has Nix run a package that is a program, once', async () => {
    const image = 'registry.example/program/app:1'
    const pull = pullOf(image, 'stream')
    const id = await kubelet.pullImage(pull)
    const { output } = await bed.runPod({ imageId: id })
    expect(output).toBe('hello from a Nix-built image\n')
    const held = (await bed.run('nix-store', ['--gc', '--print-roots'])).stdout
    expect(held).toMatch(/-stream-image$/m)
    expect(held).not.toContain('-image-archive')
    await bed.run('nix-collect-garbage')
    await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'images', 'rm', image])
    await expect(kubelet.pullImage(pull)).resolves.toBe(id)
    expect(await countLogged(shim, 'run of a program started', image)).toBe(1)
  })

  it('prefers the stream of a package', async () => {
    await expect(kubelet.pullImage(pullOf('registry.example/stream/app:1', 'with-stream'))).resolves.toMatch(/^sha256:/)
  })
})

describe('an image follows its recipe', () => {
  const image = 'registry.example/follow/app:1'

  it('so that another recipe for the same tag is not present, is built, and takes over the tag', async () => {
    const old = await lockExample(await copyExample('hello', bed.dir), bed.run)
    const ofOld = { image, packageName: 'image', flakeUrl: old.url }
    const ofNew = { image, packageName: 'docker-archive', flakeUrl: formats.url }
    const oldId = await kubelet.pullImage(recipePull(ofOld))
    expect(await kubelet.imageStatus(image, { annotations: recipeAnnotations(ofOld) })).toMatchObject({ id: oldId })
    expect(await kubelet.imageStatus(image, { annotations: recipeAnnotations(ofNew) })).toBeUndefined()

    const newId = await kubelet.pullImage(recipePull(ofNew))
    expect(newId).not.toBe(oldId)
    expect(await kubelet.imageStatus(image, { annotations: recipeAnnotations(ofNew) })).toMatchObject({ id: newId })
    expect(await kubelet.imageStatus(image, { annotations: recipeAnnotations(ofOld) })).toBeUndefined()
    expect(await kubelet.imageStatus(image)).toMatchObject({ id: newId })
    await expect(kubelet.imageStatus(oldId)).resolves.toMatchObject({ id: oldId })
  })

  it('when two recipes for one tag are pulled concurrently: each pull answers with its own image', async () => {
    const tag = 'registry.example/race/app:1'
    const [one, two] = await Promise.all([
      kubelet.pullImage(pullOf(tag, 'docker-archive')),
      kubelet.pullImage(pullOf(tag, 'oci-layout', `path:${formats.dir}`)),
    ])
    await expect(kubelet.imageStatus(one)).resolves.toMatchObject({ id: one })
    await expect(kubelet.imageStatus(two)).resolves.toMatchObject({ id: two })
  })

  it('and is not present with half a recipe: the pull names the missing annotation', async () => {
    const { 'enbi.hrzn.ee/nixbuild-packageName': _gone, ...half } = recipeAnnotations({
      image,
      packageName: 'docker-archive',
      flakeUrl: formats.url,
    })
    expect(await kubelet.imageStatus(image, { annotations: half })).toBeUndefined()
    await expect(kubelet.pullImage({ image, annotations: half })).rejects.toMatchObject({
      details: expect.stringContaining('enbi.hrzn.ee/nixbuild-packageName'),
    })
  })
})

describe('a failure reads well in kubectl describe pod: gRPC code UNKNOWN and a message', () => {
  const UNKNOWN = 2
  it.each([
    ['an attribute that is not there', 'no-such', /no package no-such/],
    ['a builder that fails after 10,000 lines', 'chatty', /hello\.c: no such file/],
    ['an evaluation error', 'no-evaluation', /broken on purpose/],
    ['a package for another system', 'foreign', /riscv64-linux/],
  ])('for %s', async (_name, packageName, message) => {
    const pull = pullOf(`registry.example/failures/${packageName}:1`, packageName, failures.url)
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringMatching(message),
    })
  })

  it('for a package that is not an image', async () => {
    const pull = pullOf('registry.example/failures/text:1', 'no-image')
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject({ code: UNKNOWN, details: /no image|not an image/i })
  })

  it('for a program that writes half an image', async () => {
    const pull = pullOf('registry.example/failures/half:1', 'half-streamed')
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('the rest is missing'),
    })
  })

  it.each([
    ['with a space', 'path:/a b'],
    ['that is an option', '--foo'],
    ['with a newline', 'path:/a\n--impure'],
    ['with shell syntax', 'path:/a;$(id)'],
    ['of 200 kB', `path:/${'x'.repeat(200_000)}`],
  ])('for a flake URL %s, without nix', async (_name, flakeUrl) => {
    const builds = await countBuilds(shim)
    const pull = pullOf('registry.example/failures/url:1', 'image', flakeUrl)
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringContaining('enbi.hrzn.ee/nixbuild-flakeUrl'),
    })
    expect(await countBuilds(shim)).toBe(builds)
  })

  it('and a final failure is remembered: another pull does not build again', async () => {
    const pull = pullOf('registry.example/failures/remembered:1', 'chatty', failures.url)
    const first = await kubelet.pullImage(pull).catch(error => error.details)
    const builds = await countBuilds(shim)
    await expect(kubelet.pullImage(pull)).rejects.toMatchObject({ details: first })
    expect(await countBuilds(shim)).toBe(builds)
  })
})

describe('a caller that hangs up', () => {
  it('does not end the build: the next caller joins it', async () => {
    await rm(join(bed.dir, 'gate'), { force: true })
    const builds = await countBuilds(shim)
    const pull = pullOf('registry.example/hang-up/app:1', 'gated')
    const caller = new AbortController()
    const first = kubelet.pullImage(pull, { signal: caller.signal })
    await expect.poll(() => countBuilds(shim), PATIENT).toBe(builds + 1)
    caller.abort()
    await expect(first).rejects.toMatchObject({ code: 1 })
    const second = kubelet.pullImage(pull)
    await writeFile(join(bed.dir, 'gate'), '')
    await expect(second).resolves.toMatch(/^sha256:/)
    expect(await countBuilds(shim)).toBe(builds + 1)
  })
})

describe('RemoveImage', () => {
  it('removes the gc root', async () => {
    const image = 'registry.example/roots/app:1'
    await kubelet.pullImage(pullOf(image, 'images.web.frontend'))
    const roots = async () => (await bed.run('nix-store', ['--gc', '--print-roots'])).stdout
    const own = (await roots()).split('\n').filter(line => line.includes(join(shim.stateDir, 'gcroots')))
    expect(own.length).toBeGreaterThan(0)
    await kubelet.removeImage(image)
    await expect
      .poll(async () => (await roots()).split('\n').filter(line => line.includes(shim.stateDir)).length, PATIENT)
      .toBeLessThan(own.length)
    expect(await kubelet.imageStatus(image)).toBeUndefined()
  })
})

describe('the log', () => {
  it('never has the password of a pull', async () => {
    const pull = pullOf('registry.example/team/app:1', 'docker-archive')
    await kubelet.pullImage({ ...pull, auth: { username: 'me', password: 'secret-of-mine' } })
    expect(await readFile(shim.daemon.logPath, 'utf8')).not.toContain('secret-of-mine')
  })
})
