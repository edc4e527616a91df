import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Bed } from '../../node/bed.ts'
import type { TestFlake } from './flake.ts'
import { ERROR_PAGE, startHttpServer } from './http-server.ts'
import { describeOutputs } from './outputs-cases.ts'
import { describePackageSets } from './package-set-cases.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from './remote-builder.ts'

interface Node {
  readonly bed: Bed
  readonly flake: TestFlake
  readonly builder: RemoteBuilder
  readonly nix: string
}

/** How flakes are fetched, locked and evaluated, and how their packages are found. */
export function describeEvaluations(node: () => Node): void {
  let bed: Bed
  let flake: TestFlake
  let builder: RemoteBuilder
  let nix: string
  beforeAll(() => {
    ;({ bed, flake, builder, nix } = node())
  })

  test.each([
    { packageName: 'images.web', name: 'base' },
    { packageName: 'flat.name', name: 'hello' },
    { packageName: '"flat.name"', name: 'hello' },
    { packageName: 'streamed', name: 'stream' },
    { packageName: 'documented', name: 'documented-doc' },
  ])('finds $packageName, which is $name', async ({ packageName, name }) => {
    const { storePath } = await builder.build(recipeOf(flake.url, packageName))
    expect(storePath.slice('/nix/store/'.length + 33)).toBe(name)
  })

  test.each(['hello', 'metaThrows', 'metaOdd', 'streamed'])('of %s returns no hints', async name => {
    expect(await builder.build(recipeOf(flake.url, name))).not.toHaveProperty('package')
  })

  test.each([
    {
      packageName: 'helo',
      code: 'AttributeMissing',
      says: /has no package helo for x86_64-linux; did you mean hello\? There are \d\d: [^,]+, /,
    },
    { packageName: 'images.nowhere', code: 'AttributeMissing', says: /only web$/ },
    { packageName: 'text', code: 'AttributeMissing', says: /is not a package but a string$/ },
    { packageName: 'images', code: 'AttributeMissing', says: /is not a package but a set$/ },
    {
      packageName: 'thrown',
      code: 'EvaluationFailed',
      says: /^evaluating thrown of path:\S+ failed: thrown on purpose\n\(the whole log: /,
    },
    {
      packageName: 'endless',
      code: 'EvaluationFailed',
      says: /infinite recursion encountered \(at flake\.nix:\d+:\d+\)\n\(the whole log: /,
    },
    {
      packageName: 'configText',
      code: 'EvaluationFailed',
      says: /^imageConfig of configText of \S+ is not an attribute set$/,
    },
    { packageName: 'configLong', code: 'EvaluationFailed', says: /is longer than 65536 bytes as JSON$/ },
    { packageName: 'configThrows', code: 'EvaluationFailed', says: /no config/ },
    { packageName: 'impure', code: 'EvaluationFailed', says: /access to absolute path '\/etc.*' is forbidden/ },
    { packageName: 'foreign', code: 'SystemUnsupported', says: /'aarch64-linux'/ },
    { packageName: 'tracer', code: 'EvaluationFailed', says: / failed: after a trace\n\(the whole log: / },
  ])('of $packageName fails with $code', async ({ packageName, code, says }) => {
    const failure = builder.build(recipeOf(flake.url, packageName))
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
    await expect(failure).rejects.toMatchObject({ message: expect.stringContaining(flake.url) })
  })

  describeOutputs(() => ({ bed, builder }))
  describePackageSets(() => ({ bed, builder, nix }))

  test('for a system that the flake lacks names the systems it has', async () => {
    await expect(builder.build(recipeOf(flake.url, 'hello', 'riscv64-linux'))).rejects.toMatchObject({
      code: 'SystemUnsupported',
      message: `${flake.url} has no packages for riscv64-linux, only for aarch64-linux, x86_64-linux`,
    })
  })

  test('of a flake that does not exist fails with FlakeNotFound', async () => {
    for (const url of ['path:/not/there', 'git+file:///not/there', `path:${bed.dir}/home`]) {
      await expect(builder.build(recipeOf(url, 'hello'))).rejects.toMatchObject({ code: 'FlakeNotFound' })
    }
  })

  test('of a flake whose flake.lock lacks an input is rejected, and writes nothing', async () => {
    const dir = join(bed.dir, 'unlocked')
    await mkdir(dir)
    await writeFile(
      join(dir, 'flake.nix'),
      `{ inputs.other.url = "${flake.url}"; outputs = { self, other }: { inherit (other) packages; }; }`,
    )
    await chown(dir, bed.buildUser.uid, bed.buildUser.gid)
    await bed.run('tar', ['-C', bed.dir, '-cf', `${dir}.tar`, 'unlocked'])
    const urls = [`path:${dir}`, `file://${dir}.tar`]
    const expectRefused = async (url: string) =>
      expect(builder.build(recipeOf(url, 'hello')), url).rejects.toMatchObject({
        code: 'EvaluationFailed',
        message: expect.stringMatching(/its flake\.lock is missing or does not match its inputs/),
      })
    for (const url of urls) await expectRefused(url)
    expect(await readdir(dir)).toEqual(['flake.nix'])

    await writeFile(join(dir, 'flake.lock'), '{"nodes":{"root":{}},"root":"root","version":7}')
    await expectRefused(`path:${dir}`)

    await bed.run(nix, ['flake', 'lock', `path:${dir}`, '--extra-experimental-features', 'nix-command flakes'])
    await expect(builder.build(recipeOf(`path:${dir}`, 'hello'))).resolves.toBeDefined()
  })

  test('of a git repository works, unlocked and locked', async () => {
    const git = (...args: string[]) => bed.run('git', ['-C', flake.dir, ...args])
    await git('init', '--quiet', '--initial-branch=main')
    await git('add', '.')
    await git('-c', 'user.name=x', '-c', 'user.email=x@x.example', 'commit', '--quiet', '--message=x')
    const { stdout: rev } = await git('rev-parse', 'HEAD')
    await git('tag', 'v1.2.0')
    for (const query of ['', '?ref=main', `?rev=${rev}`, `?ref=main&rev=${rev}`, '?ref=refs/tags/v1.2.0']) {
      const url = `git+file://${flake.dir}${query}`
      await expect(builder.build(recipeOf(url, 'hello')), url).resolves.toBeDefined()
    }
    // A short name is a branch, even if there is a tag of that name.
    for (const ref of ['other', 'v1.2.0'])
      await expect(builder.build(recipeOf(`git+file://${flake.dir}?ref=${ref}`, 'hello'))).rejects.toMatchObject({
        code: 'FlakeNotFound',
      })
  })

  test('of an unlocked flake says which content it has built, and builds that content again on request', async () => {
    const dir = join(bed.dir, 'moving')
    const git = (...args: string[]) =>
      bed.run('git', ['-C', dir, '-c', 'user.name=x', '-c', 'user.email=x@x.example', ...args])
    const commit = async (content: string) => {
      await writeFile(join(dir, 'flake.nix'), movingFlake(content))
      await git('add', '.')
      await git('commit', '--quiet', '--message=x')
      return (await git('rev-parse', 'HEAD')).stdout.trim()
    }
    await mkdir(dir)
    await git('init', '--quiet', '--initial-branch=main')
    const [old, oldArchive] = [await commit('old'), join(bed.dir, 'moving.tar')]
    await bed.run('tar', ['-C', bed.dir, '--exclude=.git', '-cf', oldArchive, 'moving'])
    const logged = await logCommands(bed, nix)
    await using fresh = startBuilder(bed, { nix: { command: logged.command, options: { 'tarball-ttl': '0' } } })
    const recipe = recipeOf(`git+file://${dir}?ref=main`, 'hello')
    // Without a cluster, nobody needs to know which content it was.
    expect(await fresh.buildAlone(recipe)).not.toHaveProperty('lockedFlakeUrl')
    expect(await logged.read()).not.toContain('flake metadata')
    const first = await fresh.build(recipe)
    expect(await logged.read()).toContain('flake metadata')
    expect(first.lockedFlakeUrl).toBe(`git+file://${dir}?ref=main&rev=${old}`)
    const ofArchive = await fresh.build(recipeOf(`file://${oldArchive}`, 'hello'))
    expect(ofArchive.lockedFlakeUrl).toMatch(/moving\.tar\?narHash=sha256-/)
    expect(ofArchive.storePath).toBe(first.storePath)

    const next = await commit('new')
    const third = fresh.start(recipe)
    const second = await third.done
    const told = third.progress.findIndex(
      progress => progress.phase === 'evaluating' && progress.lockedFlakeUrl === second.lockedFlakeUrl,
    )
    expect(told).toBeGreaterThan(-1)
    expect(third.progress.slice(0, told).map(({ phase }) => phase)).not.toContain('building')
    expect(second.lockedFlakeUrl).toBe(`git+file://${dir}?ref=main&rev=${next}`)
    expect(second.storePath).not.toBe(first.storePath)
    expect(await fresh.startLocked(recipe, first.lockedFlakeUrl ?? '').done).toMatchObject({
      storePath: first.storePath,
      lockedFlakeUrl: first.lockedFlakeUrl,
    })
    const gone = `git+file://${dir}?ref=main&rev=${'0'.repeat(40)}`
    expect(await fresh.startLocked(recipe, gone).done).toMatchObject({
      storePath: second.storePath,
      lockedFlakeUrl: second.lockedFlakeUrl,
    })
  })

  test('of a flake that cannot be fetched distinguishes retryable from final failures', async () => {
    await using server = await startHttpServer()
    const { url: origin } = server
    const options = { 'download-attempts': '1' }
    await using once = startBuilder(bed, { nix: { command: nix, options } })
    for (const [url, code, mayBePrivate] of [
      [`${origin}/404/a.tar.gz`, 'FlakeNotFound', true],
      [`${origin}/503/a.tar.gz`, 'FetchFailed', false],
      [`git+${origin}/404/a`, 'FlakeNotFound', true],
      [`git+${origin}/401/a`, 'FlakeNotFound', true],
      [`git+${origin}/503/a`, 'FetchFailed', false],
      ['git+http://127.0.0.1:1/a', 'FetchFailed', false],
      ['http://127.0.0.1:1/a.tar.gz', 'FetchFailed', false],
    ] as const) {
      const error: Error = await once.build(recipeOf(url, 'hello')).then(fail, error => error)
      expect(error, url).toMatchObject({ code })
      expect(error.message.includes('no credentials for it'), error.message).toBe(mayBePrivate)
      for (const line of ERROR_PAGE.split('\n')) expect(error.message).not.toContain(line)
    }
  })
}

function fail(): never {
  throw new Error('it was built')
}

/** A flake whose package consists of that content. */
function movingFlake(content: string): string {
  return `{ outputs = { self }: { packages.x86_64-linux.hello = derivation {
    name = "moving"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${content} > $out" ];
  }; }; }`
}

/** A nix that logs its arguments. */
async function logCommands(bed: Bed, nix: string): Promise<{ command: string; read(): Promise<string> }> {
  const [command, log] = [join(bed.dir, 'logged-nix'), join(bed.dir, 'logged-nix.log')]
  await writeFile(log, '')
  await chmod(log, 0o666)
  await writeFile(command, `#!/bin/sh\nprintf '%s\\n' "$*" >>${log}\nexec ${nix} "$@"\n`, { mode: 0o755 })
  return { command, read: () => readFile(log, 'utf8') }
}
