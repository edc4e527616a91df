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

const RUN_LOG = new URL('../../../../shim/nix/log/run-log-file.ts', import.meta.url).href
/** Writes a log to a full disk, then to one with space, then more than its share of the disk. Prints the log, and the sizes. */
const WRITE_LOG = `
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
const { openRunLog } = await import(process.argv[1])
process.chdir(process.argv[2])
const failed = Promise.withResolvers()
const log = openRunLog('.', 'run', { warn: ({ err }) => failed.resolve(err.code) }, { retryMs: 0 })
await log.write('before')
while (!existsSync('run.log') || statSync('run.log').size === 0) await new Promise(setImmediate)
try { writeFileSync('ballast', Buffer.alloc(2 ** 23)) } catch {}
for (let line = 0; line < 10; line += 1) await log.write('x'.repeat(900))
const code = await failed.promise
rmSync('ballast')
await log.write('after')
await log.close()
const text = readFileSync('run.log', 'utf8')
const large = openRunLog('.', 'large', { warn: console.error })
for (let line = 0; line < 1000; line += 1) await large.write('x'.repeat(1000))
await large.close()
const size = readdirSync('.').reduce((sum, name) => sum + statSync(name).size, 0)
console.log(JSON.stringify({ code, text, size }))
`

test('a run log on a full disk continues once there is space, without a part of a line, and takes little of a small disk', async () => {
  const dir = await mountState('logs', 'mode=750,size=4m')
  const { stdout } = await bed.run(process.execPath, ['--input-type=module', '--eval', WRITE_LOG, RUN_LOG, dir])
  const { code, text, size } = JSON.parse(stdout)
  expect(code).toBe('ENOSPC')
  expect(text).toMatch(/^before\n… 10 lines are missing here .*\nafter\n$/)
  expect(size).toBeLessThan(150_000)
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
