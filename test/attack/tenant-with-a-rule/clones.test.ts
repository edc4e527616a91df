import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { showNewerNix } from '../../shim/nix/newer-nix.ts'
import { type RemoteBuilder, type RemoteBuilderOptions, recipeOf, startBuilder } from '../../shim/nix/remote-builder.ts'
import { flakeOf, makeRepository } from '../git-repository.ts'

let bed: Bed
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Builds the package `app` of that flake on this node and reads it. */
async function read(builder: RemoteBuilder, url: string): Promise<string> {
  const { storePath } = await builder.build(recipeOf(url, 'app'))
  return (await bed.run('cat', [storePath])).stdout
}

const CLONE = /^[0-9a-z]{52}$/

async function findClones({ stateDir }: RemoteBuilder): Promise<string[]> {
  const caches = join(stateDir, 'caches')
  const clones = (await readdir(caches)).map(async name =>
    (await readdir(join(caches, name))).filter(entry => CLONE.test(entry)).map(entry => join(caches, name, entry)),
  )
  return (await Promise.all(clones)).flat()
}

/** Files that a killed git leaves. */
const LOCKS = [
  'HEAD.lock',
  'config.lock',
  'shallow.lock',
  'packed-refs.lock',
  'packed-refs.new',
  'refs/heads/main.lock',
]

async function leaveLocks(builder: RemoteBuilder): Promise<void> {
  const clones = await findClones(builder)
  expect(clones).not.toEqual([])
  const files = clones.flatMap(clone => LOCKS.map(name => join(clone, name)))
  await bed.run('touch', files)
  await bed.run('chown', [bed.buildUser.name, ...files])
}

const WAITING = `waiting = derivation {
  name = "waiting"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo begun; exec /bin/sleep 600" ];
};`

const VERSIONS: readonly (readonly [string, () => Promise<string>])[] = [
  ['Nix 2.8', async () => 'nix'],
  ['a Nix >= 2.26', () => showNewerNix(bed)],
]

describe.each(VERSIONS)('the shared clone of a repository with %s', (version, findNix) => {
  let nix: string
  let builder: RemoteBuilder
  const start = (options: Pick<RemoteBuilderOptions, 'stateDir'> = {}) =>
    startBuilder(bed, { ...options, nix: { command: nix, options: { 'tarball-ttl': '0' } } })
  const make = (name: string) => makeRepository(bed, `${name}-${version.replace(/\W/g, '')}`)
  beforeAll(async () => {
    nix = await findNix()
    builder = start()
  })
  afterAll(async () => builder?.[Symbol.asyncDispose]())

  test('never takes a tag for the branch of the same name', async () => {
    const repository = await make('tagged')
    await repository.commit({ 'flake.nix': flakeOf('flawed') })
    await repository.git('tag', 'main')
    await repository.commit({ 'flake.nix': flakeOf('fixed') })
    expect(await read(builder, `${repository.url}?ref=main`)).toBe('fixed')
  })

  test('never takes a replacement object for a locked commit', async () => {
    const repository = await make('replaced')
    const released = await repository.commit({ 'flake.nix': flakeOf('good') })
    await repository.git('checkout', '--quiet', '-b', 'proposal')
    const evil = await repository.commit({ 'flake.nix': flakeOf('evil') })
    await repository.git('replace', released, evil)
    await repository.git('checkout', '--quiet', 'main')
    // An evaluated flake can have all refs fetched into the clone.
    const all = `builtins.fetchGit { url = "file://${repository.dir}"; ref = "main"; rev = "${evil}"; allRefs = true; }`
    const proposed = await repository.commit({ 'flake.nix': flakeOf(`\${builtins.readFile "\${${all}}/flake.nix"}`) })
    await builder.build(recipeOf(`${repository.url}?ref=main&rev=${proposed}`, 'app')).catch(() => {})
    expect(await read(builder, `${repository.url}?ref=main&rev=${released}`)).toBe('good')
  })

  test('follows its branch after a cancelled run that left locks', async () => {
    const repository = await make('abandoned')
    const url = `${repository.url}?ref=main`
    await repository.commit({ 'flake.nix': flakeOf('first', WAITING) })
    await using own = start()
    const run = own.start(recipeOf(url, 'waiting'))
    await run.untilLog(/^(begun)$/)
    await leaveLocks(own)
    run.abort()
    await expect(run.done).rejects.toMatchObject({ code: 'Cancelled' })
    await repository.commit({ 'flake.nix': flakeOf('second') })
    expect(await read(own, url)).toBe('second')
  })

  test('follows its branch after a killed shim that left locks and unfinished clones', async () => {
    const repository = await make('killed')
    const url = `${repository.url}?ref=main`
    const stateDir = join(bed.dir, `killed-${version.replace(/\W/g, '')}`)
    await repository.commit({ 'flake.nix': flakeOf('first', WAITING) })
    {
      await using killed = start({ stateDir })
      await killed.start(recipeOf(url, 'waiting')).untilLog(/^(begun)$/)
      await leaveLocks(killed)
      await bed.run('find', [
        join(stateDir, 'caches'),
        '-name',
        '*.sqlite',
        '-exec',
        'sh',
        '-c',
        'echo x > "$1"',
        'sh',
        '{}',
        ';',
      ])
    }
    for (const text of ['second', 'third']) {
      await repository.commit({ 'flake.nix': flakeOf(text) })
      await using next = start({ stateDir })
      expect(await read(next, url)).toBe(text)
      for (const clone of await findClones(next)) await bed.run('rm', [join(clone, 'HEAD')])
    }
  })
})
