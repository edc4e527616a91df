import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bed, startBed } from '../../../node/bed.ts'
import { makeFlake, type TestFlake } from '../flake.ts'
import { recipeOf, startBuilder } from '../remote-builder.ts'

let bed: Bed
let flake: TestFlake
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  flake = await makeFlake(bed.dir)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** A small file system of its own for a builder's state. */
async function mountState(name: string, options: string): Promise<string> {
  const dir = join(bed.dir, name)
  await bed.run('mkdir', [dir])
  await bed.run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir])
  return dir
}

test('a state folder that cannot be written is named, and the builder recovers with it', async () => {
  const stateDir = await mountState('frozen', 'mode=755')
  await using builder = startBuilder(bed, { stateDir })
  await builder.build(recipeOf(flake.url, 'base'))
  await bed.run('mount', ['-o', 'remount,ro', stateDir])
  await expect(builder.build(recipeOf(flake.url, 'hello'))).rejects.toMatchObject({
    code: 'StateDirNotWritable',
    retryable: true,
    message: expect.stringContaining(`cannot write to the state folder ${stateDir} of this node: EROFS`),
  })
  await bed.run('mount', ['-o', 'remount,rw', stateDir])
  await expect(builder.build(recipeOf(flake.url, 'hello'))).resolves.toBeDefined()
})

test('a state folder that only root may enter is opened for the build user to walk through', async () => {
  const stateDir = await mountState('closed', 'mode=700')
  await using builder = startBuilder(bed, { stateDir })
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})

test('a state folder that the build user cannot reach is named', async () => {
  const parent = await mountState('guarded', 'mode=700')
  await using builder = startBuilder(bed, { stateDir: join(parent, 'state') })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'StateDirNotWritable',
    message: expect.stringContaining(`${parent}/state/`),
  })
})

test('a state folder that is a file is named', async () => {
  const stateDir = join(bed.dir, 'file')
  await writeFile(stateDir, '')
  await using builder = startBuilder(bed, { stateDir })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'StateDirNotWritable',
    message: expect.stringContaining(stateDir),
  })
})

test('a state folder without space is a full disk, and the builder recovers with it', async () => {
  const stateDir = await mountState('full', 'mode=755,size=256k')
  await using builder = startBuilder(bed, { stateDir })
  await bed.run('dd', ['if=/dev/zero', `of=${stateDir}/ballast`, 'bs=4k'], { reject: false })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({ code: 'DiskFull', retryable: true })
  await bed.run('rm', [`${stateDir}/ballast`])
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})

test('a build user that does not exist is named', async () => {
  await using builder = startBuilder(bed, { nix: { user: 'no-such-user' } })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'BuildUserUnknown',
    retryable: false,
    message: expect.stringContaining('"no-such-user"'),
  })
})

test('a nix that is not there is named', async () => {
  await using builder = startBuilder(bed, { nix: { command: '/not/there/nix' } })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'NixMissing',
    retryable: true,
    message: expect.stringContaining('"/not/there/nix"'),
  })
})

test('a builder that is not root builds as itself', async () => {
  const stateDir = join(bed.dir, 'own')
  await bed.run('install', ['-d', '-o', bed.buildUser.name, stateDir])
  const { uid, gid } = bed.buildUser
  const enter = [...bed.enter, 'setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--']
  await using builder = startBuilder(bed, { stateDir, enter })
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})
