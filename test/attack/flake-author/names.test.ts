import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { writeArchiveFlake, writeMadeFlake } from '../../node/made-flake.ts'
import { BUSYBOX } from '../../node/programs.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import {
  digest,
  dockerEntries,
  hex,
  makeImage,
  ociEntries,
  smallImage,
  type TestImage,
} from '../../shim/import/image.ts'
import { type Entry, tar } from '../../shim/import/tar.ts'
import { type ClaimedLayer, writeClaims, writeCustomisation } from './names-flake.ts'

const MODES = ['linked', 'tar'] as const
type Mode = (typeof MODES)[number]

let bed: Bed
const shims = new Map<Mode, Shim>()
beforeAll(async () => {
  bed = await startBed()
  for (const layers of MODES) shims.set(layers, await bed.startShim({ config: { import: { layers } } }))
})
afterAll(() => bed[Symbol.asyncDispose]())

let images = 0

/** Pulls as the attacker's pod. Resolves to the image's id or to the error's message. */
async function pull(mode: Mode, flakeUrl: string, image = `registry.example/attack/${++images}`): Promise<string> {
  const wanted = recipePull({ image, flakeUrl, packageName: 'image' })
  const socket = shims.get(mode)?.socket ?? ''
  return bed
    .cri(socket)
    .pullImage(wanted)
    .catch((error: Error) => error.message)
}

/** Another tenant's image, whose layers no other image has and which prints the text. */
async function genuine(text: string): Promise<TestImage> {
  const programs = await tar([
    { name: 'bin', type: 'directory' },
    { name: 'bin/busybox', content: await readFile(BUSYBOX) },
    { name: `bin/of-${text}`, content: text },
  ])
  return makeImage([programs, await tar([{ name: 'text', content: text }])])
}

/** Imports it in another tenant's name, as `ctr` does. */
async function load(image: TestImage): Promise<void> {
  const name = `docker.io/library/${hex(image.config)}:1`
  const archive = join(bed.dir, `${hex(image.config)}.tar`)
  const entries = dockerEntries(image).map(entry =>
    entry.name === 'manifest.json' ? { ...entry, content: String(entry.content).replace('anything:1', name) } : entry,
  )
  await writeFile(archive, await tar(entries))
  await bed.importImage(archive, name)
}

async function outputOf({ id }: TestImage): Promise<string> {
  return (await bed.runPod({ imageId: id })).output
}

async function ctr(...args: string[]): Promise<string> {
  const { stdout } = await bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', ...args])
  return stdout
}

const DIGEST = /sha256:[0-9a-f]{64}/g
const LARGE = 'truncate -s 40M $out/large'

describe.each(MODES)(
  "in the layer mode %s, a nix2container JSON that claims the digests of another image's layers does not replace them",
  mode => {
    /** The attacker's files under the digests of the image's layers. */
    const claims = (
      { layers: [programs = Buffer.of(), text = Buffer.of()] }: TestImage,
      more: string,
    ): ClaimedLayer[] => [
      { digest: digest(programs), files: `mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox; ${more}` },
      { digest: digest(text), files: 'mkdir $out; echo attacked > $out/text' },
    ]

    it.each([
      ['before that image is imported', '', false],
      ['with a large layer, before that image is imported', LARGE, false],
      ['after its layers were imported on top of another layer', '', true],
      ['with a large layer, after its layers were imported on top of another layer', LARGE, true],
    ])('%s', async (title, more, isThere) => {
      const victim = await genuine(`${title} ${mode}`)
      if (isThere) await load(makeImage([await tar([{ name: 'below', content: title }]), ...victim.layers]))
      const written = await pull(mode, await writeClaims(bed.dir, claims(victim, more)))
      await load(victim)
      expect(await outputOf(victim)).toBe(`${title} ${mode}`)
      if (mode === 'tar' || more === '') expect(written).toContain('a layer that is not what it says')
      else expect(written).toMatch(DIGEST)
    })
  },
)

describe("an image gets no content of another image by naming its digests, if the attacker's package is", () => {
  const junk = (layer: Buffer) => Buffer.alloc(layer.length, 'no such bytes')
  const withJunk = (entries: readonly Entry[], { layers }: TestImage) =>
    entries.map(entry => {
      const layer = layers.find(layer => layer === entry.content)
      return layer ? { ...entry, content: junk(layer) } : entry
    })
  const without = (entries: readonly Entry[], { layers }: TestImage) =>
    entries.filter(({ content }) => layers.every(layer => layer !== content))
  const ready = ({ layers }: TestImage) => layers.map(layer => ({ digest: digest(layer), ready: junk(layer) }))
  const compressed = ({ layers }: TestImage) =>
    layers.map((layer, index) => {
      const ready = gzipSync(`${index}`)
      return { ready, digest: digest(ready), diffId: digest(layer), mediaType: GZIP_LAYER }
    })
  const oneLayer = ({ layers }: TestImage) => layers[0] ?? Buffer.of()

  it.each<[string, (victim: TestImage) => Promise<string>]>([
    [
      'a docker-archive with different bytes',
      async image => writeArchiveFlake(bed.dir, await tar(withJunk(dockerEntries(image), image))),
    ],
    [
      'a docker-archive without the bytes',
      async image => writeArchiveFlake(bed.dir, await tar(without(dockerEntries(image), image))),
    ],
    [
      'an OCI archive with different bytes',
      async image => writeArchiveFlake(bed.dir, await tar(withJunk(ociEntries(image), image))),
    ],
    [
      'an OCI archive without the bytes',
      async image => writeArchiveFlake(bed.dir, await tar(without(ociEntries(image), image))),
    ],
    [
      'an OCI folder with different bytes',
      async image => writeArchiveFlake(bed.dir, await tar(withJunk(ociEntries(image), image)), 'folder'),
    ],
    [
      'an OCI folder without the bytes',
      async image => writeArchiveFlake(bed.dir, await tar(without(ociEntries(image), image)), 'folder'),
    ],
    ['a nix2container JSON with a ready-made tar', image => writeClaims(bed.dir, ready(image))],
    [
      'a nix2container JSON with a tar that unpacks to something else',
      image => writeClaims(bed.dir, compressed(image)),
    ],
    [
      'a stream script with a customization layer',
      image => writeCustomisation(bed.dir, junk(oneLayer(image)), hex(oneLayer(image))),
    ],
  ])('%s', async (title, write) => {
    const { layers } = await genuine(title)
    // The image has only one layer, so its lowest layer is all of it.
    const secret = title.endsWith('a customization layer')
      ? makeImage([await tar([...(await filesOf(title))])])
      : makeImage(layers)
    await load(secret)
    const flakeUrl = await write(secret)
    for (const mode of MODES) expect(await pull(mode, flakeUrl)).toMatch(/the image archive |the layer /)
    expect(await outputOf(secret)).toBe(title)
  })
})

describe('an image gets no layers of another image by a config that containerd and the shim could read differently, with', () => {
  it.each<[string, (diffIds: string) => string]>([
    ['a field in capitals', diffIds => `"rootfs":{"type":"layers","DIFF_IDS":${diffIds}}`],
    [
      'a field that is present twice',
      diffIds => `"rootfs":{"type":"layers","diff_ids":${diffIds}},"rootfs":{"type":"layers"}`,
    ],
    ['an object in capitals', diffIds => `"rootfs":{"type":"layers"},"RootFS":{"diff_ids":${diffIds}}`],
    ['a letter that only resembles the right one', diffIds => `"rootfs":{"type":"layers","diff_id\u017f":${diffIds}}`],
  ])('%s', async (title, rootfs) => {
    const secret = await genuine(title)
    await load(secret)
    const { architecture, os, config } = JSON.parse(secret.config.toString())
    const parts = JSON.stringify({ architecture, os, config }).slice(0, -1)
    const document = Buffer.from(`${parts},${rootfs(JSON.stringify(secret.layers.map(digest)))}}`)
    const image = { layers: [], config: document, id: digest(document) }
    for (const entries of [dockerEntries(image), ociEntries(image)])
      expect(await pull('linked', await writeArchiveFlake(bed.dir, await tar(entries)))).toContain('read in two ways')
  })
})

const GZIP_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

async function filesOf(text: string): Promise<Entry[]> {
  return [
    { name: 'bin/busybox', content: await readFile(BUSYBOX) },
    { name: 'text', content: text },
  ]
}

describe('an image reference with a digest', () => {
  const sha512 = (bytes: Buffer | string) => `sha512:${createHash('sha512').update(bytes).digest('hex')}`

  it.each(['sha256', 'sha384', 'sha512'])('of %s matches only the manifest with that digest', async algorithm => {
    const image = await smallImage(algorithm)
    const flakeUrl = await writeArchiveFlake(bed.dir, await tar(dockerEntries(image)))
    expect(await pull('tar', flakeUrl, `registry.example/${algorithm}:1`)).toBe(image.id)
    const manifest = await ctr('content', 'get', await manifestDigest(`registry.example/${algorithm}:1`))
    const pinned = (text: string) =>
      `registry.example/pinned@${algorithm}:${createHash(algorithm).update(text).digest('hex')}`
    expect(await pull('tar', flakeUrl, pinned(manifest))).toBe(image.id)
    expect(await pull('tar', flakeUrl, pinned('another'))).toContain('while the image reference asks for')
    expect(await ctr('images', 'ls', '-q')).not.toContain(pinned('another'))
  })

  it.each([
    ['of an unknown algorithm', `md5:${'a'.repeat(32)}`],
    ['of the wrong length', sha512('').slice(0, -1)],
    ['in capitals', `sha256:${'A'.repeat(64)}`],
  ])('%s is rejected before the build', async (_what, digest) => {
    const builds = async () => (await readFile(shims.get('tar')?.daemon.logPath ?? '', 'utf8')).split('build started')
    const before = (await builds()).length
    const flakeUrl = await writeArchiveFlake(bed.dir, await tar(dockerEntries(await smallImage(digest))))
    expect(await pull('tar', flakeUrl, `registry.example/app@${digest}`)).toMatch(
      /no image reference|cannot be verified/,
    )
    expect((await builds()).length).toBe(before)
  })

  async function manifestDigest(name: string): Promise<string> {
    return /sha256:[0-9a-f]{64}/.exec(await ctr('images', 'ls', `name==${name}`))?.[0] ?? ''
  }
})

it('a store path that is rebuilt with other files does not keep the digest of its earlier content', async () => {
  const content = join(bed.dir, 'content')
  await writeFile(content, 'first')
  // A build that is not reproducible. In a sandbox it could use the time of day instead.
  const program = 'mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox'
  const conf = {
    architecture: JSON.parse((await smallImage('')).config.toString()).architecture,
    repo_tag: 'again:1',
    created: '1970-01-01T00:00:01+00:00',
    mtime: '1970-01-01T00:00:01+00:00',
    uid: '0',
    gid: '0',
    uname: 'root',
    gname: 'root',
    from_image: null,
    store_dir: '/nix/store',
  }
  const layer = await tar([{ name: 'tmp', type: 'directory' }])
  const flakeUrl = await writeMadeFlake(
    bed.dir,
    `let
      program = make "program" { } "${program}";
      changing = make "changing" { } "mkdir $out; cp ${content} $out/text";
      layer = make "layer" { layer = "\${./layer.tar}"; } "mkdir $out; cp $layer $out/layer.tar; sha256sum $out/layer.tar | cut -d ' ' -f 1 > $out/checksum";
      conf = builtins.toJSON (builtins.fromJSON (builtins.readFile ./conf.json) // {
        config.Cmd = [ "\${program}/bin/busybox" "cat" "\${changing}/text" ];
        store_layers = [ [ program ] [ changing ] ];
        customisation_layer = layer;
      });
    in make "again-conf.json" { inherit conf; } ''printf %s "$conf" > $out''`,
    { 'conf.json': JSON.stringify(conf), 'layer.tar': layer },
  )
  const name = 'registry.example/again:1'
  const first = await pull('linked', flakeUrl, name)
  expect((await bed.runPod({ imageId: first })).output).toBe('first')
  await pull('tar', flakeUrl, 'registry.example/again:tar')
  const archive = join(bed.dir, 'again.tar')
  await ctr('images', 'export', archive, 'registry.example/again:tar')
  await forgetAll([name, 'registry.example/again:tar', first])

  await writeFile(content, 'other')
  const second = await pull('linked', flakeUrl, name)
  expect((await bed.runPod({ imageId: second })).output).toBe('other')
  await ctr('images', 'import', archive)
  await bed.cri().waitForImage('registry.example/again:tar')
  expect((await bed.runPod({ imageId: first })).output).toBe('first')
})

/** Removes images and the store paths of builds. */
async function forgetAll(names: readonly string[]): Promise<void> {
  await ctr('images', 'rm', '--sync', ...names)
  const states = [...shims.values()].map(({ stateDir }) => stateDir)
  const forget = 'for state; do rm -rf "$state"/gcroots/* "$state"/results/*; done; nix-collect-garbage'
  await bed.run('sh', ['-c', forget, 'sh', ...states])
}
