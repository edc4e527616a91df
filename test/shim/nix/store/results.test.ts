import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FlakeRecipe, recipeKey } from '../../../../recipes/recipe.ts'
import type { BuildResult } from '../../../../shim/nix/store/results.ts'
import { createResults } from '../../../../shim/nix/store/results.ts'
import { foldersOf, prepareStateDir } from '../../../../shim/nix/user/state-dir.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { makeFlake, type TestFlake } from '../flake.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from '../remote-builder.ts'

let bed: Bed
let flake: TestFlake
let lockedUrl: string
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  flake = await makeFlake(bed.dir)
  const hash = await bed.run('nix', ['hash', 'path', flake.dir])
  lockedUrl = `${flake.url}?narHash=${encodeURIComponent(hash.stdout)}`
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

test('a locked recipe with a saved result does not run nix', async () => {
  const recipe = recipeOf(lockedUrl, 'hello')
  const { stateDir, output } = await buildOnce(recipe)
  await using builder = startBuilder(bed, { stateDir, nix: { command: await makeTattler() } })
  expect(await builder.findResult(recipe)).toEqual(output)
  expect(await readdir(bed.dir)).not.toContain('nix-was-run')
})

test('an unlocked recipe is evaluated again and follows its flake', async () => {
  const recipe = recipeOf(flake.url, 'base')
  await using builder = startBuilder(bed)
  const first = await builder.build(recipe)
  expect(await builder.findResult(recipe)).toBeUndefined()
  const file = join(flake.dir, 'flake.nix')
  const before = await readFile(file, 'utf8')
  await writeFile(file, before.replace('echo base >', 'echo another base >'))
  try {
    const second = await builder.build(recipe)
    expect(second.storePath).not.toBe(first.storePath)
  } finally {
    await writeFile(file, before)
  }
})

test('a gc root protects the result from garbage collections until it is removed', async () => {
  await using builder = startBuilder(bed)
  const kept = recipeOf(lockedUrl, 'base')
  const dropped = recipeOf(lockedUrl, 'streamed')
  const { storePath: keptPath } = await builder.build(kept)
  const { storePath: droppedPath } = await builder.build(dropped)
  await bed.run('nix-store', ['--gc'])
  await expectInStore([keptPath, droppedPath])
  await builder.keepOnly([recipeKey(kept)])
  await bed.run('nix-store', ['--gc'])
  await expectInStore([keptPath])
  await expect(bed.run('ls', [droppedPath])).rejects.toThrow()
  expect(await builder.findResult(kept)).toBeDefined()
  expect(await builder.findResult(dropped)).toBeUndefined()
})

test('the gc root of a running build is kept', async () => {
  await using builder = startBuilder(bed)
  const recipe = recipeOf(lockedUrl, 'waiting')
  const build = builder.start(recipe)
  await build.untilLog(/^pid (\d+)$/)
  await writeFile(flake.gate, 'open\n')
  await builder.keepOnly([])
  const { storePath } = await build.done
  await bed.run('nix-store', ['--gc'])
  await expectInStore([storePath])
})

test('a derivation that is collected before its build begins is evaluated again', async () => {
  await using builder = startBuilder(bed, { nix: { command: await makeCollector() } })
  const { storePath } = await builder.build(recipeOf(lockedUrl, 'streamed'))
  await expectInStore([storePath])
  expect(await readFile(join(bed.dir, 'has-collected'), 'utf8')).toContain('store paths deleted')
})

test('a result that is looked up while others are removed is either kept or not found', async () => {
  const recipe = recipeOf(lockedUrl, 'hello')
  const { stateDir } = await buildOnce(recipe)
  await fillResults(stateDir)
  await using builder = startBuilder(bed, { stateDir })
  const swept = builder.keepOnly([])
  expect(await builder.findResult(recipe)).toBeUndefined()
  await swept
})

test('a gc root that is created while others are removed is kept', async () => {
  const stateDir = join(bed.dir, 'swept')
  const dir = foldersOf(stateDir)
  const key = recipeKey(recipeOf(lockedUrl, 'hello'))
  await prepareStateDir(dir, {})
  await fillResults(stateDir)
  const results = createResults(dir)
  const swept = results.keepOnly(new Set())
  await symlink('/nix/store/elsewhere', await results.prepareLink(key))
  await swept
  expect(await readdir(dir.gcroots)).toEqual([key])
})

/** Removing these takes much longer than what a test does meanwhile. */
async function fillResults(stateDir: string): Promise<void> {
  const names = Array.from({ length: 1_000 }, (_, index) => `${String(index).padStart(64, '0')}.json`)
  await Promise.all(names.map(name => writeFile(join(stateDir, 'results', name), '')))
}

test.each<{ damage: string; harm: (files: { record: string; link: string }) => Promise<void> }>([
  { damage: 'a record that is not JSON', harm: ({ record }) => writeFile(record, '{"storePath": "/nix/st') },
  {
    damage: 'a record of a path outside the store',
    harm: ({ record }) => rewrite(record, '/nix/store/', '/etc/nix/store/'),
  },
  { damage: 'a record of a path that no longer exists', harm: ({ record }) => rewrite(record, '-hello', '-gone') },
  { damage: 'a record of another user', harm: ({ record }) => chown(record, 1, 1) },
  { damage: 'a record that anybody could have written', harm: ({ record }) => chmod(record, 0o666) },
  { damage: 'no gc root', harm: ({ link }) => unlink(link) },
  { damage: 'a gc root that leads elsewhere', harm: ({ link }) => replaceLink(link, '/etc') },
])('with $damage the result is built again', async ({ harm }) => {
  const recipe = recipeOf(lockedUrl, 'hello')
  const { stateDir, output } = await buildOnce(recipe)
  const key = recipeKey(recipe)
  await harm({ record: join(stateDir, 'results', `${key}.json`), link: join(stateDir, 'gcroots', key) })
  await using builder = startBuilder(bed, { stateDir })
  expect(await builder.findResult(recipe)).toBeUndefined()
  expect((await builder.build(recipe)).storePath).toBe(output.storePath)
  expect(await builder.findResult(recipe)).toBeDefined()
})

test.each([
  { what: 'an empty folder', harm: (link: string) => mkdir(link) },
  { what: 'a folder with files', harm: (link: string) => mkdir(join(link, 'a/b'), { recursive: true }) },
  { what: 'a file', harm: (link: string) => writeFile(link, '') },
])('$what in place of the gc root does not prevent a build', async ({ harm }) => {
  await using builder = startBuilder(bed)
  for (const [packageName, suffix] of [
    ['hello', ''],
    ['documented', '-doc'],
  ] as const) {
    const recipe = recipeOf(lockedUrl, packageName)
    const { storePath } = await builder.build(recipe)
    const link = join(builder.stateDir, 'gcroots', recipeKey(recipe) + suffix)
    await unlink(link)
    await harm(link)
    expect(await builder.findResult(recipe)).toBeUndefined()
    expect(await builder.build(recipe)).toMatchObject({ storePath })
    expect(await readlink(link)).toBe(storePath)
  }
})

test('the contents of a folder in place of the gc root are kept', async () => {
  await using builder = startBuilder(bed)
  const recipe = recipeOf(lockedUrl, 'hello')
  await builder.build(recipe)
  const gcroots = join(builder.stateDir, 'gcroots')
  const link = join(gcroots, recipeKey(recipe))
  const precious = join(bed.dir, 'precious')
  await unlink(link)
  await mkdir(link)
  await writeFile(precious, '')
  await symlink(bed.dir, join(link, 'link'))
  await builder.build(recipe)
  const [obstacle = ''] = (await readdir(gcroots)).filter(name => name.startsWith('obstacle-'))
  expect(await readdir(join(gcroots, obstacle))).toEqual(['link'])
  await expect(readFile(precious, 'utf8')).resolves.toBe('')
})

test('a flake whose content does not match its narHash is rejected', async () => {
  await using builder = startBuilder(bed)
  const wrong = `${flake.url}?narHash=sha256-${'A'.repeat(43)}%3D`
  await expect(builder.build(recipeOf(wrong, 'base'))).rejects.toMatchObject({
    code: 'FlakeNotFound',
    message: expect.stringMatching(/has the narHash sha256-\S{44}, but path:\S+ is locked to another one/),
  })
})

test('nix runs as the build user, with its own home and environment', async () => {
  const { stateDir } = await buildOnce(recipeOf(lockedUrl, 'base'))
  const home = await stat(join(stateDir, 'build-home'))
  expect({ uid: home.uid, mode: home.mode & 0o777 }).toEqual({ uid: 0, mode: 0o750 })
  const [name = ''] = await readdir(join(stateDir, 'gcroots'))
  expect((await lstat(join(stateDir, 'gcroots', name))).uid).toBe(bed.buildUser.uid)
  expect((await stat(join(stateDir, 'results'))).uid).toBe(0)
})

test('nix gets only the variables of our environment that it needs', async () => {
  const command = await makeProgram('show', `#!/bin/sh\n{ id -un; env; } > ${bed.dir}/surroundings\nexit 1\n`)
  await writeFile(join(bed.dir, 'surroundings'), '')
  await chmod(join(bed.dir, 'surroundings'), 0o666)
  const env = { AWS_SECRET_ACCESS_KEY: 'hush', KUBECONFIG: '/etc/k', https_proxy: 'http://proxy.example:3128' }
  await using builder = startBuilder(bed, { nix: { command }, env })
  await expect(builder.build(recipeOf(lockedUrl, 'base'))).rejects.toThrow()
  const [user, ...variables] = (await readFile(join(bed.dir, 'surroundings'), 'utf8')).trim().split('\n')
  expect(user).toBe(bed.buildUser.name)
  expect(variables).toContain('https_proxy=http://proxy.example:3128')
  // A commit has the content of its hash, whatever refs/replace/ of the repository says.
  expect(variables).toContain('GIT_NO_REPLACE_OBJECTS=1')
  expect(variables).toContain(`HOME=${builder.stateDir}/build-home`)
  expect(variables.join()).not.toMatch(/hush|KUBECONFIG/)
})

test('nix gets each value as one argument, and the restrictions of flakes last', async () => {
  const list = join(bed.dir, 'arguments.list')
  const command = await makeProgram('arguments', `#!/bin/sh\nprintf '%s\\0' "$@" END >> ${list}\nexit 1\n`)
  await writeFile(list, '')
  await chmod(list, 0o666)
  const options = { 'pure-eval': 'false', 'extra-platforms': 'a b --impure' }
  await using builder = startBuilder(bed, { nix: { command, options } })
  await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toThrow()
  const calls = (await readFile(list, 'utf8')).split('\0END\0').slice(0, -1)
  const [first = [], second = [], ...others] = calls
    .map(call => call.split('\0'))
    .filter(([arg]) => arg !== '--version')
  expect(first.slice(0, 4)).toEqual(['flake', 'metadata', '--json', flake.url])
  expect(second.slice(0, 3)).toEqual(['eval', '--json', `${flake.url}#""`])
  for (const args of [first, second, ...others]) {
    expect(args).toContain('a b --impure')
    const last = args.lastIndexOf('pure-eval')
    expect(args.slice(last - 1, last + 2)).toEqual(['--option', 'pure-eval', 'true'])
  }
})

async function buildOnce(recipe: FlakeRecipe): Promise<{ stateDir: string; output: BuildResult }> {
  await using builder: RemoteBuilder = startBuilder(bed)
  return { stateDir: builder.stateDir, output: await builder.build(recipe) }
}

/** A nix that records its calls. */
function makeTattler(): Promise<string> {
  return makeProgram('tattler', `#!/bin/sh\n: > ${bed.dir}/nix-was-run\nexit 1\n`)
}

async function makeProgram(name: string, text: string): Promise<string> {
  const path = join(bed.dir, name)
  await mkdir(bed.dir, { recursive: true })
  await writeFile(path, text, { mode: 0o755 })
  return path
}

async function replaceLink(path: string, target: string): Promise<void> {
  await unlink(path)
  await symlink(target, path)
}

async function rewrite(path: string, from: string, to: string): Promise<void> {
  await writeFile(path, (await readFile(path, 'utf8')).replace(from, to))
}

async function expectInStore(paths: readonly string[]): Promise<void> {
  await bed.run('ls', ['-d', ...paths])
}

/** A nix that collects all garbage before its first build. */
async function makeCollector(): Promise<string> {
  const marker = join(bed.dir, 'has-collected')
  await writeFile(marker, '')
  await chown(marker, bed.buildUser.uid, bed.buildUser.gid)
  const collect = `[ -s ${marker} ] || { nix-store --gc >${marker} 2>&1; }`
  return makeProgram('collector', `#!/bin/sh\n[ "$1" != build ] || ${collect}\nexec nix "$@"\n`)
}
