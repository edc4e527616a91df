import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GitRepository, makeRepository } from '../../attack/git-repository.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import type { CriClient } from '../../node/cri.ts'
import { copyExample, type Example } from '../../node/example.ts'
import { recipeAnnotations } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { startHttpServer } from '../nix/http-server.ts'
import { countBuilds, expectKept } from './builds.ts'

const GREETING = 'hello from a Nix-built image'
const UNKNOWN = 2

let bed: Bed
let shim: Shim
let kubelet: CriClient
let formats: Example
let app: GitRepository

beforeAll(async () => {
  bed = await startBed()
  formats = await copyExample('formats', bed.dir)
  app = await makeRepository(bed, 'app')
  await copyFile(join(formats.dir, 'busybox'), join(app.dir, 'busybox'))
  await commit('old')
  await app.git('branch', 'v1.2.0')
  await app.git('tag', 'v1.1.0')
  await commit('new')
  const flake = `git+file://${bed.dir}/{name}`
  const flakes = [`git+file:${bed.dir}/**`.replace(':', '://'), `path:${bed.dir}/*`, 'tarball+http://127.0.0.1:*/*']
  shim = await bed.startShim({
    config: {
      // Nix caches the commit of a branch for this time.
      nix: { user: bed.buildUser.name, options: { 'tarball-ttl': 0 } },
      flakeNames: true,
      names: [
        { images: 'registry.example/team/{name}', flake: `${flake}?ref={tag}`, package: 'docker-archive' },
        {
          images: 'registry.example/releases/{name}',
          flake: `${flake}?ref=refs/tags/{tag}`,
          package: 'docker-archive',
        },
        { images: 'registry.example/apps/{package}', flake: `git+file://${bed.dir}/app`, package: '{package}' },
        { images: 'registry.example/pkgs/{contents}', packages: `git+file://${bed.dir}/app` },
      ],
      policy: [
        { namespaces: ['default'], images: ['registry.example/**', 'flake-tarball-http:0/**'], flakes },
        { namespaces: ['default'], images: ['flake-github:0/**'], flakes: ['github:team/*'] },
        {
          namespaces: ['bounded'],
          images: ['registry.example/**'],
          flakes: [`packages:git+file://${bed.dir}/app`],
          contents: ['shell', 'docker-archive'],
        },
      ],
    },
  })
  kubelet = bed.cri(shim.socket)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** A version of the flake whose images say the greeting. */
async function commit(greeting: string): Promise<string> {
  const flake = await readFile(join(formats.dir, 'flake.nix'), 'utf8')
  return app.commit({ 'flake.nix': flake.replace(GREETING, greeting) })
}

const pull = (image: string, more = {}) => kubelet.pullImage({ image, annotations: {}, ...more })
const output = async (imageId: string) => (await bed.runPod({ imageId })).output

describe('an image whose name is a recipe needs no annotations', () => {
  it('to be built from the branch in its tag and to run as a container', async () => {
    const image = 'registry.example/team/app:v1.2.0'
    expect(await kubelet.imageStatus(image)).toBeUndefined()
    const imageId = await pull(image)
    expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'old\n' })
    expect(await kubelet.imageStatus(image)).toMatchObject({ id: imageId })
  })

  it('to be built from a git tag, or from the default of the flake', async () => {
    expect(await output(await pull('registry.example/releases/app:v1.1.0'))).toBe('old\n')
    expect(await output(await pull('registry.example/team/app:latest'))).toBe('new\n')
    expect(await output(await pull('registry.example/apps/images.web.frontend:v1.2.0'))).toBe('old\n')
  })

  it('to be built from the revision in its tag, and a second pull runs no nix', async () => {
    await expectKept(shim, kubelet, `registry.example/team/app:${await app.git('rev-parse', 'HEAD')}`)
  })

  it('to be fetched over HTTP, if the name is the name of a flake', async () => {
    await bed.run('tar', ['-C', formats.dir, '--transform=s,^,x/,', '-czf', join(bed.dir, 'formats.tar.gz'), '.'])
    const archive = await readFile(join(bed.dir, 'formats.tar.gz'))
    await using server = await startHttpServer({ '/formats.tar.gz': archive })
    const { port } = new URL(server.url)
    const image = `flake-tarball-http:0/127.0.0.1--x3a--${port}/formats.tar.gz--x23--docker--x2d--archive`
    expect(await output(await pull(image))).toBe(`${GREETING}\n`)
  })
})

describe('an image on the node whose name is a recipe', () => {
  it('is present without nix and without the flake, and is built again with the pull policy Always', async () => {
    const image = 'registry.example/team/app:main'
    const first = await pull(image)
    await bed.run('mv', [app.dir, `${app.dir}.away`])
    const builds = await countBuilds(shim)
    expect(await kubelet.imageStatus(image)).toMatchObject({ id: first })
    expect(await countBuilds(shim)).toBe(builds)
    await bed.run('mv', [`${app.dir}.away`, app.dir])
    await commit('newer')
    expect(await output(await pull(image))).toBe('newer\n')
  })

  it('is not present while it was made by another recipe', async () => {
    const image = 'registry.example/team/app:other'
    await app.git('branch', 'other')
    const annotations = recipeAnnotations({ image, flakeUrl: formats.url, packageName: 'docker-archive' })
    const annotated = await pull(image, { annotations })
    expect(await output(annotated)).toBe(`${GREETING}\n`)
    expect(await kubelet.imageStatus(image, { annotations })).toMatchObject({ id: annotated })
    expect(await kubelet.imageStatus(image)).toBeUndefined()
    expect(await output(await pull(image))).toBe('newer\n')
  })
})

describe('a pull of a name that is a recipe fails and goes to no registry', () => {
  it.each([
    [
      'when the policy does not allow the flake',
      'flake-github:0/other/app',
      'default',
      /building "flake-github:0\/other\/app:latest" from "github:other\/app"/,
    ],
    [
      'when the policy does not allow the namespace',
      'registry.example/team/app',
      'other',
      /building "registry.example\/team\/app:latest" from "git\+file:.*no rule applies to namespace "other"/,
    ],
    [
      'when its tag is not a ref',
      'registry.example/team/app:v1..2',
      'default',
      /the image "registry.example\/team\/app:v1..2" is invalid/,
    ],
    [
      'when it does not name a flake',
      'flake-github:0/owner',
      'default',
      /the image "flake-github:0\/owner" is invalid.* owner\/repo/,
    ],
    [
      'when the policy allows the flake, but no package set of it',
      'registry.example/pkgs/docker-archive',
      'default',
      /building "registry.example\/pkgs\/docker-archive:latest" from "packages:git\+file:.*starts with "packages:git\+file:"/,
    ],
    [
      'when the policy does not allow a package of the set',
      'registry.example/pkgs/shell/docker-archive/nix2container',
      'bounded',
      /building "registry.example\/pkgs\/shell.*" from "packages:git\+file:.* allows "nix2container" in its contents/,
    ],
    [
      'when a meta-package does not come first',
      'registry.example/pkgs/docker-archive/shell',
      'bounded',
      /the image "registry.example\/pkgs\/docker-archive\/shell" is invalid.*"shell".* must come first/,
    ],
    [
      'when it has 200 segments',
      `registry.example/pkgs/${'a/'.repeat(197)}a`,
      'bounded',
      /is not an image reference.* longer than 255 characters/,
    ],
    // containerd counts the path alone, and would ask the registry.
    [
      'when it is too long together with its host',
      `registry.example/pkgs/${'a'.repeat(240)}`,
      'bounded',
      /is not an image reference.* longer than 255 characters/,
    ],
    [
      'when its digest is malformed',
      `registry.example/team/app@sha256:${'0'.repeat(65)}`,
      'default',
      /cannot be verified/,
    ],
    ['when its tag is an option', 'registry.example/team/app:-o', 'default', /is not an image reference/],
    ['when there is no such branch', 'registry.example/team/app:no-such', 'default', /no-such/],
  ])('%s', async (_when, image, namespace, details) => {
    expect(await kubelet.imageStatus(image)).toBeUndefined()
    await expect(pull(image, { namespace })).rejects.toMatchObject({
      code: UNKNOWN,
      details: expect.stringMatching(details),
    })
  })

  it('when an image of that name was not put there by a shim', async () => {
    const image = 'registry.example/team/foreign:1'
    await bed.importPauseImage()
    const { repoTags } = (await kubelet.listImages()).find(({ repoTags: [tag] }) => tag?.includes('pause')) ?? {}
    await bed.run('ctr', ['-a', bed.containerdSocket, '-n', 'k8s.io', 'images', 'tag', repoTags?.[0] ?? '', image])
    await bed.cri().waitForImage(image)
    expect(await kubelet.imageStatus(image)).toBeUndefined()
    await expect(pull(image)).rejects.toMatchObject({ details: expect.stringContaining('replaceForeign') })
  })
})
