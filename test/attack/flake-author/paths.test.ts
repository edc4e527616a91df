import { chmod, copyFile, cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { BUSYBOX } from '../../node/programs.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { digest, dockerEntries, ociEntries, smallImage } from '../../shim/import/image.ts'
import { tar } from '../../shim/import/tar.ts'

const FLAKE = join(import.meta.dirname, 'paths')
/** Nix's name of the root folder of a sandboxed build, which only root can read. */
const VICTIM = `/nix/store/${'0'.repeat(32)}-somebody-elses.drv.chroot`

let bed: Bed
let shim: Shim
let flakeUrl: string
beforeAll(async () => {
  bed = await startBed()
  const image = await smallImage('secret')
  const [layer = Buffer.of()] = image.layers
  const archive = await tar(dockerEntries(image))
  const files = { 'image.tar': archive, 'layer.tar': layer, checksum: digest(layer).slice('sha256:'.length) }
  const programs = { 'bin/key': '#!/bin/sh\n' }
  const layout = Object.fromEntries(ociEntries(image).map(({ name, content }) => [name, content ?? '']))
  for (const [name, content] of Object.entries({ ...files, ...programs, ...layout }))
    await hide(`${VICTIM}/${name}`, content)
  await hide('/root-only/image.tar', archive)
  const neighbor = join(bed.dir, 'neighbor')
  await writeFile(neighbor, 'secret')
  const { stdout: path } = await bed.run('nix-store', ['--add', neighbor])
  flakeUrl = await copyFlake({ victim: VICTIM, neighbor: path, digest: digest(layer) })
  const policy = [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }]
  shim = await bed.startShim({ config: { policy } })
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Writes a file that only root can read. */
async function hide(path: string, content: string | Buffer): Promise<void> {
  const script = 'umask 077; mkdir -p "$(dirname "$1")"; cat > "$1"; chmod 700 "$1"'
  await bed.run('sh', ['-euc', script, 'sh', path], { input: Buffer.from(content) })
}

async function copyFlake(texts: Readonly<Record<string, string>>): Promise<string> {
  const dir = join(bed.dir, 'paths')
  await cp(FLAKE, dir, { recursive: true })
  await copyFile(BUSYBOX, join(dir, 'busybox'))
  await chmod(join(dir, 'busybox'), 0o755)
  for (const [name, text] of Object.entries(texts)) await writeFile(join(dir, name), text)
  return `path:${dir}`
}

it.each([
  ['an output that is a link to a file in the folder of another build', 'output'],
  ['an output that is a link to the folder of another build', 'folder'],
  ['an output that is a link to a file of root', 'root-file'],
  ['a layer-path with a link to the folder of another build in its middle', 'layer-path'],
  ["a nix2container JSON with another tenant's store path, to which it does not refer", 'foreign-path'],
  ["a conf.json with another tenant's store path, to which it does not refer", 'foreign-layer'],
  ['a base image with a link to the folder of another build in its path', 'from-image'],
  ['a customization layer whose tar is a link to a file of another build', 'customization'],
  ['a customization layer whose checksum is a link to a file of another build', 'checksum'],
  ['an OCI layout whose files are links to files of another build', 'oci-layout'],
  ['a plain package whose folder of programs is a link to the folder of another build', 'programs'],
  ['a plain package whose program is a link to a file of another build', 'program'],
])('%s gets no foreign file into an image', async (_what, packageName) => {
  const image = `registry.example/paths/${packageName}:1`
  const pulled = bed.cri(shim.socket).pullImage(recipePull({ image, flakeUrl, packageName }))
  const error: unknown = await pulled.catch(error => error.details)
  expect(error).toMatch(/the package is not an image|the image archive |no image can be made of the package/)
  expect(error).not.toContain('key')
  for (const things of ['images', 'content']) expect(await ctr(things, 'ls', '-q')).toBe('')
  expect((await ctr('snapshots', 'ls')).trim().split('\n')).toHaveLength(1)
})

async function ctr(...args: string[]): Promise<string> {
  return (await bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', ...args])).stdout
}
