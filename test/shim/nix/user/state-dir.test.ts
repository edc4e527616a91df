import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyCompileCache } from '../../../../shim/nix/user/state-dir.ts'
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

/** A small separate file system for a builder's state. */
async function mountState(name: string, options: string): Promise<string> {
  const dir = join(bed.dir, name)
  await bed.run('mkdir', [dir])
  await bed.run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir])
  return dir
}

test('a state folder that cannot be written is reported, and builds work again once it can', async () => {
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

test('a state folder that only root can enter is opened for the build user', async () => {
  const stateDir = await mountState('closed', 'mode=700')
  await using builder = startBuilder(bed, { stateDir })
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})

test('a state folder that the build user cannot reach is reported', async () => {
  const parent = await mountState('guarded', 'mode=700')
  await using builder = startBuilder(bed, { stateDir: join(parent, 'state') })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'StateDirNotWritable',
    message: expect.stringContaining(`${parent}/state/`),
  })
})

test('a state folder that is a file is reported', async () => {
  const stateDir = join(bed.dir, 'file')
  await writeFile(stateDir, '')
  await using builder = startBuilder(bed, { stateDir })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'StateDirNotWritable',
    message: expect.stringContaining(stateDir),
  })
})

test('a state folder without space is reported as a full disk, and builds work again once there is space', async () => {
  const stateDir = await mountState('full', 'mode=755,size=256k')
  await using builder = startBuilder(bed, { stateDir })
  await bed.run('dd', ['if=/dev/zero', `of=${stateDir}/ballast`, 'bs=4k'], { reject: false })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({ code: 'DiskFull', retryable: true })
  await bed.run('rm', [`${stateDir}/ballast`])
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})

test('a build user that does not exist is reported', async () => {
  await using builder = startBuilder(bed, { nix: { user: 'no-such-user' } })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'BuildUserUnknown',
    retryable: false,
    message: expect.stringContaining('"no-such-user"'),
  })
})

test('a missing nix is reported', async () => {
  await using builder = startBuilder(bed, { nix: { command: '/not/there/nix' } })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
    code: 'NixMissing',
    retryable: true,
    message: expect.stringContaining('"/not/there/nix"'),
  })
})

test('a builder without root builds as its own user', async () => {
  const stateDir = join(bed.dir, 'own')
  await bed.run('install', ['-d', '-o', bed.buildUser.name, stateDir])
  const { uid, gid } = bed.buildUser
  const enter = [...bed.enter, 'setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--']
  await using builder = startBuilder(bed, { stateDir, enter })
  await expect(builder.build(recipeOf(flake.url, 'base'))).resolves.toBeDefined()
})

test('a start of the shim drops the compiled code of earlier ones, and only root can read the new', async () => {
  const root = await mountState('compiled', 'mode=755')
  const path = await emptyCompileCache({ root })
  await writeFile(join(path, 'of-an-earlier-version'), '')
  await emptyCompileCache({ root })
  expect(await readdir(path)).toEqual([])
  expect((await stat(path)).mode & 0o777).toBe(0o700)
})
