import { createHash } from 'node:crypto'
import { chmod, chown, lstat, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { foldersOf, prepareStateDir } from '../../../shim/nix/user/state-dir.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from '../../shim/nix/remote-builder.ts'
import { flakeOf, makeRepository, makeTattler } from '../git-repository.ts'

let bed: Bed
let builder: RemoteBuilder
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  builder = startBuilder(bed)
})
afterAll(async () => {
  await builder?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

/** Builds the package `app` of that flake on this node and reads it. */
async function read(url: string): Promise<string> {
  const { storePath } = await builder.build(recipeOf(url, 'app'))
  return (await bed.run('cat', [storePath])).stdout
}

async function makeFolder(name: string, text: string): Promise<string> {
  const dir = join(bed.dir, name)
  await mkdir(dir)
  await writeFile(join(dir, 'flake.nix'), flakeOf(text))
  return dir
}

async function hashOf(dir: string): Promise<string> {
  const flags = ['--extra-experimental-features', 'nix-command']
  return encodeURIComponent((await bed.run('nix', ['hash', 'path', dir, ...flags])).stdout)
}

describe('a narHash of content that an attacker has brought into the store', () => {
  test('is rejected for an allowed folder with other content', async () => {
    const [evil, good] = [await makeFolder('evil-folder', 'evil'), await makeFolder('good-folder', 'good')]
    expect(await read(`path:${evil}`)).toBe('evil')
    await expect(read(`path:${good}?narHash=${await hashOf(evil)}`)).rejects.toMatchObject({
      code: 'FlakeNotFound',
      message: expect.stringMatching(
        /^the content at path:\S+good-folder has the narHash sha256-\S+, but path:\S+ is locked/,
      ),
    })
    expect(await read(`path:${good}?narHash=${await hashOf(good)}`)).toBe('good')
  })

  test('is rejected for an allowed tarball with other content', async () => {
    const [evil, good] = [await makeFolder('evil-tarball', 'evil'), await makeFolder('good-tarball', 'good')]
    for (const dir of [evil, good]) await bed.run('tar', ['-C', dir, '-cf', `${dir}.tar`, '.', '--transform=s,^,x/,'])
    expect(await read(`file://${evil}.tar`)).toBe('evil')
    await expect(read(`file://${good}.tar?narHash=${await hashOf(evil)}`)).rejects.toMatchObject({
      code: 'FlakeNotFound',
    })
    expect(await read(`file://${good}.tar?narHash=${await hashOf(good)}`)).toBe('good')
  })
})

test('a commit that was fetched from one repository is rejected as a commit of another repository', async () => {
  const [evil, good] = [await makeRepository(bed, 'evil'), await makeRepository(bed, 'good')]
  const commit = await evil.commit({ 'flake.nix': flakeOf('evil') })
  await good.commit({ 'flake.nix': flakeOf('good') })
  expect(await read(`${evil.url}?ref=main&rev=${commit}`)).toBe('evil')
  await expect(read(`${good.url}?ref=main&rev=${commit}`)).rejects.toMatchObject({ code: 'FlakeNotFound' })
  expect(await read(`${good.url}?ref=main`)).toBe('good')
})

describe('git runs no program', () => {
  test('that the settings of a local repository name', async () => {
    const repository = await makeRepository(bed, 'programs')
    const { command, traces } = await makeTattler(bed)
    const files = { 'flake.nix': flakeOf('good'), '.gitattributes': '* filter=evil diff=evil\n' }
    const rev = await repository.commit(files)
    const hooks = join(repository.dir, '.git/hooks')
    for (const name of ['post-checkout', 'post-index-change', 'reference-transaction', 'pre-auto-gc'])
      await writeFile(join(hooks, name), `#!/bin/sh\n${command} hook-${name} </dev/null\n`, { mode: 0o755 })
    for (const [key, value] of [
      ['core.fsmonitor', `${command} fsmonitor`],
      ['core.hooksPath', hooks],
      ['core.sshCommand', `${command} ssh`],
      ['core.gitProxy', `${command} proxy`],
      ['core.alternateRefsCommand', `${command} alternates`],
      ['core.pager', `${command} pager`],
      ['diff.external', `${command} external`],
      ['diff.evil.textconv', `${command} textconv`],
      ['diff.evil.command', `${command} diff`],
      ['filter.evil.clean', `${command} clean`],
      ['filter.evil.smudge', `${command} smudge`],
      ['tar.tar.command', `${command} tar`],
      ['uploadpack.packObjectsHook', `${command} pack`],
      ['credential.helper', `!${command} credential`],
    ] as const)
      await repository.git('config', key, value)
    // The files look changed, so git must read them.
    await bed.run('touch', [join(repository.dir, 'flake.nix')])
    for (const query of ['', '?ref=main', `?rev=${rev}`, '?submodules=1'])
      expect(await read(repository.url + query), query).toBe('good')
    expect(await traces()).toBe('')
  })

  test('that a repository names for fetching its missing objects', async () => {
    const repository = await makeRepository(bed, 'promises')
    const { command, traces } = await makeTattler(bed)
    await repository.commit({ 'flake.nix': flakeOf('good'), big: 'x' })
    const blob = await repository.git('rev-parse', 'HEAD:big')
    await bed.run('rm', [join(repository.dir, '.git/objects', blob.slice(0, 2), blob.slice(2))])
    for (const [key, value] of [
      ['core.repositoryFormatVersion', '1'],
      ['extensions.partialClone', 'origin'],
      ['remote.origin.promisor', 'true'],
      ['remote.origin.url', repository.dir],
      ['remote.origin.uploadpack', `${command} uploadpack`],
      ['uploadpack.allowAnySHA1InWant', 'true'],
    ] as const)
      await repository.git('config', key, value)
    await expect(read(repository.url)).rejects.toThrow()
    await repository.git('config', 'remote.origin.url', `ext::${command} ext`)
    await expect(read(`${repository.url}?ref=main`)).rejects.toThrow()
    expect(await traces()).toBe('')
  })
})

test('an evaluation can read no other repository of this machine, including clones of other sources', async () => {
  const secret = await makeRepository(bed, 'secret')
  const rev = await secret.commit({ 'flake.nix': flakeOf('secret') })
  expect(await read(`${secret.url}?ref=main`)).toBe('secret')
  const caches = join(builder.stateDir, 'caches')
  const clones = await bed.run('find', [caches, '-mindepth', '2', '-maxdepth', '2', '-name', '[0-9a-z]*', '-type', 'd'])
  const places = [secret.dir, ...clones.stdout.split('\n').filter(path => /\/[0-9a-z]{52}$/.test(path))]
  expect(places.length).toBeGreaterThan(1)
  // Permissions of the folder while that source is built.
  const folders = (await readdir(caches)).map(name => join(caches, name))
  await bed.run('chown', [bed.buildUser.name, ...folders])
  const spy = join(bed.dir, 'spy')
  await mkdir(spy)
  for (const place of places) {
    for (const url of [`file://${place}`, place]) {
      const fetched = `builtins.fetchGit { url = "${url}"; ref = "main"; rev = "${rev}"; }`
      await writeFile(join(spy, 'flake.nix'), flakeOf(`\${builtins.readFile "\${${fetched}}/flake.nix"}`))
      await expect(read(`path:${spy}`), url).rejects.toThrow(/transport 'denied' not allowed/)
    }
  }
  await bed.run('chown', ['root', ...folders])
})

test("the name of another source's folder cannot be guessed from its URL, and the build user can read neither the list nor the key", async () => {
  const repository = await makeRepository(bed, 'guessed')
  await repository.commit({ 'flake.nix': flakeOf('guessed') })
  expect(await read(`${repository.url}?ref=main`)).toBe('guessed')
  const { source } = parseFlakeUrl(repository.url)
  const names = await readdir(join(builder.stateDir, 'caches'))
  expect(names).not.toContain(createHash('sha256').update(source).digest('hex'))
  for (const [command, path] of [
    ['ls', 'caches'],
    ['cat', 'caches.key'],
  ] as const) {
    const inVain = { user: bed.buildUser, reject: false }
    const { stderr } = await bed.run(command, [join(builder.stateDir, path)], inVain)
    expect(stderr, path).toContain('Permission denied')
  }
})

describe('a process of the build user cannot write', () => {
  test.each([
    'build-home/.gitconfig',
    'build-home/.netrc',
    'build-home/.ssh/config',
    'build-config/gitconfig',
    'build-config/nix/nix.conf',
    'build-config/nix/registry.json',
    'caches/x',
  ])('%s', async path => {
    const script = 'mkdir -p "$(dirname "$1")" && echo x > "$1"'
    const { exitCode, stderr } = await bed.run('sh', ['-c', script, 'sh', join(builder.stateDir, path)], {
      user: bed.buildUser,
      reject: false,
    })
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain('Permission denied')
  })

  test('into the cache of a source that is not being built, and cannot list it', async () => {
    const caches = join(builder.stateDir, 'caches')
    const names = await readdir(caches)
    expect(names.length).toBeGreaterThan(3)
    for (const name of names) {
      const { uid, mode } = await stat(join(caches, name))
      expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 0, mode: 0o700 })
    }
  })
})

test('git leaves no process behind that tidies its clone after the run', async () => {
  const env = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: join(builder.stateDir, 'build-config/gitconfig') }
  for (const key of ['gc.autoDetach', 'maintenance.autoDetach'])
    expect((await bed.run('git', ['config', '--get', key], { env })).stdout, key).toBe('false')
})

test('ssh reads keys, known hosts and settings only from the home that root owns', async () => {
  const { stateDir } = builder
  const file = join(stateDir, 'build-config/ssh_config')
  const settings = async () => (await bed.run('ssh', ['-F', file, '-G', 'git.example'], { user: bed.buildUser })).stdout
  expect(await settings()).toContain(`\nuserknownhostsfile ${stateDir}/build-home/.ssh/known_hosts\n`)
  expect(await settings()).toMatch(/^batchmode yes$/m)
  expect((await settings()).match(/^identityfile .*$/gm)).toEqual(
    ['id_ed25519', 'id_ecdsa', 'id_rsa'].map(name => `identityfile ${stateDir}/build-home/.ssh/${name}`),
  )
  await mkdir(join(stateDir, 'build-home/.ssh'))
  await writeFile(join(stateDir, 'build-home/.ssh/config'), 'Host git.example\n  Port 2222\n  User forge\n')
  expect(await settings()).toMatch(/^user forge\n(?:.*\n)*port 2222\n/m)
})

test('git and Nix ignore settings that a process of the build user has left in its home', async () => {
  const { command, traces } = await makeTattler(bed)
  const repository = await makeRepository(bed, 'honest')
  await repository.commit({ 'flake.nix': flakeOf('good') })
  const stateDir = join(bed.dir, 'older')
  const home = join(stateDir, 'build-home')
  await mkdir(home, { recursive: true })
  await writeFile(
    join(home, '.gitconfig'),
    `[core]\n\talternateRefsCommand = ${command} x\n[url "file:///nowhere"]\n\tinsteadOf = file://${repository.dir}\n`,
  )
  await bed.run('chown', ['-R', bed.buildUser.name, home])
  await using later = startBuilder(bed, { stateDir })
  await expect(later.build(recipeOf(`${repository.url}?ref=main`, 'app'))).resolves.toBeDefined()
  expect(await traces()).toBe('')
  const aside = (await readdir(stateDir)).filter(name => name.startsWith('build-home-untrusted-'))
  expect(aside).toHaveLength(1)
  expect((await stat(join(stateDir, aside[0] ?? ''))).mode & 0o777).toBe(0o700)
})

describe('the shim rejects a folder of settings that a process of the build user can write to, such as', () => {
  const folders = ['', 'build-home/.ssh', 'build-config', 'build-config/nix', 'results', 'logs']
  const refused = async (path: string, make: (path: string) => Promise<unknown>) => {
    const dir = foldersOf(join(bed.dir, `refused-${path.replaceAll('/', '-')}`))
    await prepareStateDir(dir, bed.buildUser)
    const folder = join(dir.root, path)
    await mkdir(folder, { recursive: true })
    await make(folder)
    const before = await lstat(folder)
    await expect(prepareStateDir(dir, bed.buildUser)).rejects.toMatchObject({
      code: 'StateDirUnsafe',
      message: expect.stringContaining(`${folder} `),
    })
    const { uid, gid, mode } = await lstat(folder)
    expect({ uid, gid, mode }).toEqual({ uid: before.uid, gid: before.gid, mode: before.mode })
    await rm(dir.root, { recursive: true })
  }
  const toUser = (path: string) => chown(path, bed.buildUser.uid, bed.buildUser.gid)

  test.each(folders)('<stateDir>/%s if the build user owns it', path => refused(path, toUser))
  test.each(folders)('<stateDir>/%s if everybody can write to it', path =>
    refused(path, folder => chmod(folder, 0o757)),
  )
  test.each([...folders.slice(1), 'build-home', 'gcroots', 'caches'])('<stateDir>/%s if it is a symlink', path =>
    refused(path, async folder => {
      const elsewhere = join(bed.dir, 'elsewhere')
      await mkdir(elsewhere, { recursive: true })
      await toUser(elsewhere)
      await rm(folder, { recursive: true })
      await symlink(elsewhere, folder)
    }),
  )
})
