import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample, type Example } from '../../node/example.ts'
import type { Shim } from '../../node/shim.ts'
import { writeSnapshotterFlake } from '../import/store-layers/snapshotter-flake.ts'
import { countBuilds } from './builds.ts'

const POLICY = [{ namespaces: ['*'], images: ['nix:0/nix/store/*'] }]

let cache: string
let bed: Bed
let shim: Shim
let formats: Example

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'enbi-cache-'))
  await chmod(cache, 0o755)
  bed = await startBed({ nixSettings: { substituters: `file://${cache}`, 'require-sigs': 'false' } })
  formats = await copyExample('formats', bed.dir)
  shim = await bed.startShim({ config: { policy: POLICY } })
})
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]()
  if (cache) await rm(cache, { recursive: true, force: true })
})

async function built(installable: string): Promise<string> {
  const { stdout } = await bed.run('nix', ['build', '--no-link', '--json', installable])
  return JSON.parse(stdout)[0].outputs.out
}

/** A package's store path, which from now on is only in the binary cache, as is all that it needs. */
async function cached(installable: string): Promise<string> {
  const storePath = await built(installable)
  await bed.run('nix', ['copy', '--to', `file://${cache}`, storePath])
  await bed.run('nix-collect-garbage')
  await expect(bed.run('stat', [storePath])).rejects.toThrow('No such file')
  return storePath
}

function pull(reference: string, by = shim): Promise<string> {
  return bed.cri(by.socket).pullImage({ image: reference, annotations: {} })
}

test('a reference to a store path is realised from a binary cache and runs as a container', async () => {
  const storePath = await cached(`${formats.url}#docker-archive`)
  const imageId = await pull(`nix:0${storePath}:latest`)
  expect(await bed.cri(shim.socket).imageStatus(`nix:0${storePath}`)).toMatchObject({ id: imageId })
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'hello from a Nix-built image\n' })
  const runs = await countBuilds(shim)
  expect(await pull(`nix:0${storePath}`)).toBe(imageId)
  expect(await countBuilds(shim)).toBe(runs)
  await bed.run('nix-collect-garbage')
  await expect(bed.run('stat', [storePath])).resolves.toBeDefined()
})

test('an image named after its store path is made again when its snapshots are gone', async () => {
  const reference = `nix:0${await built(`${formats.url}#oci-layout`)}`
  await pull(reference)
  const ctr = (...args: string[]) =>
    bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', 'snapshots', ...args])
  const { stdout } = await ctr('ls')
  // Refused for those that have others on top.
  for (const row of stdout.split('\n').slice(1).filter(Boolean))
    await ctr('rm', row.split(/\s/)[0] ?? '').catch(() => {})
  expect(await bed.cri(shim.socket).imageStatus(reference)).toBeUndefined()
  const imageId = await pull(reference)
  expect(await bed.cri(shim.socket).imageStatus(reference)).toMatchObject({ id: imageId })
  expect(await bed.runPod({ imageId })).toMatchObject({ exitCode: 0 })
})

test('an image of nix-snapshotter has every store path that its annotations name', async () => {
  const storePath = await cached(`${await writeSnapshotterFlake(bed.dir)}#numbered`)
  const imageId = await pull(`nix:0${storePath}`)
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: 'mounted\n' })
})

test('a store path that no cache has is named in the failure, and can be pulled once a cache has it', async () => {
  const storePath = await built(`${formats.url}#oci-archive`)
  await bed.run('nix', ['copy', '--to', `file://${bed.dir}/elsewhere`, storePath])
  await bed.run('nix-collect-garbage')
  await expect(pull(`nix:0${storePath}`)).rejects.toMatchObject({
    details: expect.stringContaining(`fetching ${storePath} failed: it is neither on this node nor in a binary cache`),
  })
  const elsewhere = ['--no-check-sigs', '--from', `file://${bed.dir}/elsewhere`]
  await bed.run('nix', ['copy', ...elsewhere, '--to', `file://${cache}`, storePath])
  await expect(pull(`nix:0${storePath}`)).resolves.toMatch(/^sha256:/)
})

test('a cache that has a store path but not its references fails the pull, which names what is missing and settings that Nix ignores', async () => {
  const make =
    'n: text: derivation { name = n; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" text ]; }'
  const expr = `let make = ${make}; needed = make "needed" "echo 1 >$out"; in make "top" "echo \${needed} >$out"`
  const { stdout } = await bed.run('nix', ['build', '--impure', '--no-link', '--json', '--expr', expr])
  const storePath: string = JSON.parse(stdout)[0].outputs.out
  await bed.run('nix', ['copy', '--to', `file://${cache}`, storePath])
  const { stdout: closure } = await bed.run('nix-store', ['--query', '--references', storePath])
  const needed = closure.trim()
  await bed.run('nix-collect-garbage')
  await rm(join(cache, `${needed.slice('/nix/store/'.length).split('-')[0]}.narinfo`))
  const elsewhere = 'file:///nowhere/to/be/found'
  const untrusted = await bed.startShim({
    config: { policy: POLICY, nix: { user: bed.buildUser.name, options: { 'extra-substituters': elsewhere } } },
  })
  const failed = await pull(`nix:0${storePath}`, untrusted).catch((error: Error) => error)
  expect(failed).toMatchObject({ details: expect.stringContaining(`missing: ${needed}`) })
  expect(failed).toMatchObject({
    details: expect.stringMatching(
      /it is neither on this node[\s\S]*ignoring untrusted substituter 'file:\/\/\/nowhere/,
    ),
  })
  await untrusted.daemon.stop()
})

test('a program is not run for an image that is named after its store path', async () => {
  const storePath = await built(`${formats.url}#stream`)
  await expect(pull(`nix:0${storePath}`)).rejects.toMatchObject({ details: expect.stringContaining('it is a program') })
})

test('a store path is refused unless a rule spells out such references', async () => {
  const strict = await bed.startShim({
    config: { policy: [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }] },
  })
  const reference = `nix:0/nix/store/${'0'.repeat(32)}-app`
  await expect(pull(reference, strict)).rejects.toMatchObject({
    details: expect.stringContaining('a store path needs a pattern that starts with "nix:0/"'),
  })
  await strict.daemon.stop()
})
