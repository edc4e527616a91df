import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digest, dockerEntries, hex, makeImage, type TestImage } from '../../import/image.ts'
import { tar } from '../../import/tar.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { BUSYBOX } from '../../node/programs.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { type ClaimedLayer, writeClaims } from './names-flake.ts'

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

/** The attacker's pull: the image's id, or the error's message. */
async function attack(mode: Mode, flakeUrl: string, pin = ''): Promise<string> {
  images += 1
  const image = `registry.example/attack/${images}${pin}`
  const pull = recipePull({ image, flakeUrl, packageName: 'image' })
  const socket = shims.get(mode)?.socket ?? ''
  return bed
    .cri(socket)
    .pullImage(pull)
    .catch((error: Error) => error.message)
}

/** Somebody's image of its own layers, the lowest of which may be left out. It prints the text. */
async function genuine(text: string): Promise<TestImage & { readonly below: Buffer }> {
  const below = await tar([{ name: `below-${text}`, content: text }])
  const programs = await tar([
    { name: 'bin', type: 'directory' },
    { name: 'bin/busybox', content: await readFile(BUSYBOX) },
    { name: `bin/of-${text}`, content: text },
  ])
  return { ...makeImage([programs, await tar([{ name: 'text', content: text }])]), below }
}

async function load(image: TestImage, name: string): Promise<void> {
  const archive = join(bed.dir, `${hex(image.config)}.tar`)
  const entries = dockerEntries(image).map(entry =>
    entry.name === 'manifest.json' ? { ...entry, content: String(entry.content).replace('anything:1', name) } : entry,
  )
  await writeFile(archive, await tar(entries))
  await bed.importImage(archive, name)
}

async function outputOf(image: TestImage): Promise<string> {
  return (await bed.runPod({ imageId: image.id })).output
}

/** The attacker's own files under the digests of the image's layers. `more`: another command, for each. */
function claims(image: TestImage, more = ''): ClaimedLayer[] {
  const [programs = Buffer.of(), text = Buffer.of()] = image.layers
  return [
    { digest: digest(programs), files: `mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox; ${more}` },
    { digest: digest(text), files: 'mkdir $out; echo attacked > $out/text' },
  ]
}

const LARGE = 'truncate -s 40M $out/large'

describe.each(MODES)(
  "a nix2container JSON that claims another image's layers does not become those layers: %s",
  mode => {
    it.each([
      ['before the image is there', '', false],
      ['of a large image, before the image is there', LARGE, false],
      ['when the layers are there, on top of another one', '', true],
      ['of a large image, when the layers are there, on top of another one', LARGE, true],
    ])('%s', async (title, more, isThere) => {
      const victim = await genuine(`${title} ${mode}`)
      const { layers, below } = victim
      if (isThere) await load(makeImage([below, ...layers]), `example.com/there-${images}:1`)
      const told = await attack(mode, await writeClaims(bed.dir, claims(victim, more)))
      await load(victim, `example.com/victim-${images}:1`)
      expect(await outputOf(victim)).toBe(`${title} ${mode}`)
      // No digest of what is really there.
      expect(told).not.toMatch(/sha256:[0-9a-f]{64}.*sha256:/)
      if (mode === 'tar' || more === '') expect(told).toContain('nix2container')
    })
  },
)
