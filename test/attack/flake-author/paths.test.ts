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
/** As Nix names the root folder of a build in its sandbox, which root alone can read. */
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
  const neighbour = join(bed.dir, 'neighbour')
  await writeFile(neighbour, 'secret')
  const { stdout: path } = await bed.run('nix-store', ['--add', neighbour])
  flakeUrl = await copyFlake({ victim: VICTIM, neighbour: path, digest: digest(layer) })
  const policy = [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }]
  shim = await bed.startShim({ config: { policy } })
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Puts a file where only root can read it. */
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
  ['an output that is a link into the folder that another build runs in', 'output'],
  ['an output that is a link to such a folder', 'folder'],
  ["an output that is a link to a file of root's", 'root-file'],
  ['a layer-path that leads there by a link in its middle', 'layer-path'],
  ["a nix2container JSON with somebody else's store path, to which it does not refer", 'foreign-path'],
  ["a conf.json with somebody else's store path, to which it does not refer", 'foreign-layer'],
  ['a base image that leads there by a link in its middle', 'from-image'],
  ['a customisation layer whose tar is a link there', 'customisation'],
  ['a customisation layer whose checksum is a link there', 'checksum'],
  ['an OCI layout whose files are links there', 'oci-layout'],
  ['a plain package whose programs are a link there', 'programs'],
  ['a plain package whose program is a link there', 'program'],
])('%s gets nothing that is not its own into an image', async (_what, packageName) => {
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
