import { chmod, chown, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recipeKey } from '../../../recipes/recipe.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import { ERROR_PAGE, startHttpServer } from './http-server.ts'
import { describeOutputs } from './outputs-cases.ts'
import { describePackageSets } from './package-set-cases.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from './remote-builder.ts'

export interface SuiteOptions {
  /** Also test a store without a daemon. */
  readonly withoutDaemon?: boolean
  /** Runs before the beds are created. */
  readonly prepare?: () => Promise<void>
  /** Path of the nix to run in a bed. */
  readonly command?: (bed: Bed) => Promise<string>
}

/** What builds with every version of Nix must do. */
export function describeBuilds({
  prepare = async () => {},
  command = async () => 'nix',
  withoutDaemon = false,
}: SuiteOptions = {}): void {
  describe.each(waysToStore(withoutDaemon))('a build $how', ({ daemon }) => {
    let bed: Bed
    let flake: TestFlake
    let builder: RemoteBuilder
    let nix: string
    beforeAll(async () => {
      await prepare()
      bed = await startBed({ daemon, without: ['containerd'] })
      flake = await makeFlake(bed.dir)
      nix = await command(bed)
      builder = startBuilder(bed, { nix: { command: nix } })
    })
    afterAll(async () => {
      await builder?.[Symbol.asyncDispose]()
      await bed?.[Symbol.asyncDispose]()
    })

    test('leaves its output in the store with a gc root, and reports progress', async () => {
      const recipe = recipeOf(flake.url, 'hello')
      const build = builder.start(recipe)
      const { storePath, runId } = await build.done
      expect(storePath).toMatch(/^\/nix\/store\/[0-9a-z]{32}-hello$/)
      expect(await readlink(join(builder.stateDir, 'gcroots', recipeKey(recipe)))).toBe(storePath)
      expect(build.progress[0]).toEqual({ phase: 'evaluating', runId })
      const counts = { phase: 'building', done: 2, expected: expect.any(Number), current: 'hello' }
      expect(build.progress).toContainEqual(counts)
      expect(build.progress).toContainEqual({ phase: 'log', line: 'hello from the builder' })
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

    test('returns the hints of the package, and saves them', async () => {
      const recipe = recipeOf(`${flake.url}?narHash=${encodeURIComponent(await hashOf(bed, nix, flake))}`, 'tool')
      const output = await builder.build(recipe)
      const imageConfig = { Cmd: [`${output.storePath}/bin/tool`], ExposedPorts: { '80/tcp': {} } }
      expect(output.package).toEqual({ mainProgram: 'tool', imageConfig })
      expect(await builder.findResult(recipe)).toEqual(output)
    })

    test.each(['hello', 'metaThrows', 'metaOdd', 'streamed'])('of %s returns no hints', async name => {
      expect(await builder.build(recipeOf(flake.url, name))).not.toHaveProperty('package')
    })

    test('of an image program lets Nix run it, and keeps its archive only while it is used', async () => {
      const program = await programOf('program')
      expect(await builder.runProgram(recipeOf(flake.url, 'program'), program)).toBe('written\n')
      const { stdout } = await bed.run('nix-store', ['--gc', '--print-roots'], { user: bed.buildUser })
      expect(stdout).toMatch(/-program$/m)
      expect(stdout).not.toContain('-program-archive')
    })

    test('of an image program that fails shows the end of its log', async () => {
      const failure = builder.runProgram(recipeOf(flake.url, 'brokenProgram'), await programOf('brokenProgram'))
      const message = expect.stringMatching(/the builder of broken-archive failed with exit code 3.*\nbroken\n/)
      await expect(failure).rejects.toMatchObject({ code: 'StreamFailed', message })
    })

    async function programOf(packageName: string) {
      const { storePath } = await builder.build(recipeOf(flake.url, packageName))
      const { stdout } = await bed.run('head', ['-n', '1', storePath])
      const [, path = '', argument = ''] = /^#!(\S+) (.*)$/.exec(stdout) ?? []
      return { path: storePath, storePath, shell: { path, argument } }
    }

    test('of a store path needs no flake, and creates a gc root', async () => {
      const { storePath } = await builder.build(recipeOf(flake.url, 'hello'))
      const recipe = { image: `nix:0${storePath}:latest`, storePath }
      const { runId } = await builder.build(recipe)
      expect(await readlink(join(builder.stateDir, 'gcroots', recipeKey(recipe)))).toBe(storePath)
      expect(await builder.findResult(recipe)).toEqual({ storePath, runId })
    })

    test('of a store path that no binary cache has is retryable', async () => {
      const storePath = `/nix/store/${'0'.repeat(32)}-nobody-has-it`
      await expect(builder.build({ image: `nix:0${storePath}:latest`, storePath })).rejects.toMatchObject({
        ...{ code: 'StorePathMissing', retryable: true },
        message: expect.stringContaining(`fetching ${storePath} failed: `),
      })
    })

    test('queries hashes, sizes and references of store paths, and leaves out those that are not valid', async () => {
      const { storePath } = await builder.build(recipeOf(flake.url, 'linked'))
      const [derivation = ''] = await queryStore(bed, '--deriver', [storePath])
      const known = await builder.pathInfo([storePath, MISSING, derivation, storePath])
      expect(known.map(sorted)).toEqual([await registered(bed, storePath), await registered(bed, derivation)])
    })

    test('queries the closure of a store path, and rejects a path that is not valid', async () => {
      const { storePath } = await builder.build(recipeOf(flake.url, 'linked'))
      const closure = await builder.pathInfo([storePath], { recursive: true })
      expect(closure.map(({ path }) => path.slice('/nix/store/'.length + 33)).sort()).toEqual([
        'base',
        'link',
        'linked',
      ])
      for (const info of closure) expect(sorted(info)).toEqual(await registered(bed, info.path))
      await expect(builder.pathInfo([MISSING], { recursive: true })).rejects.toMatchObject({
        code: 'StorePathMissing',
        message: expect.stringContaining(MISSING),
      })
    })

    test('queries more store paths than one command can take', async () => {
      const paths = Array.from({ length: 2_500 }, (_, index) => storePathOf(String(index), 'x'.repeat(200)))
      expect(await builder.pathInfo(paths)).toEqual([])
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
      {
        packageName: 'mute',
        code: 'BuilderFailed',
        says: /the builder of mute failed with exit code 1\. It wrote no log\./,
      },
      { packageName: 'outless', code: 'BuilderFailed', says: /failed to produce output path/ },
      { packageName: 'mismatch', code: 'BuilderFailed', says: /hash mismatch in fixed-output derivation/ },
      { packageName: 'liar', code: 'BuilderFailed', says: /the builder of liar failed with exit code 1/ },
      { packageName: 'tracer', code: 'EvaluationFailed', says: / failed: after a trace\n\(the whole log: / },
      { packageName: 'suicide', code: 'BuildInterrupted', says: /failed due to signal 9 \(Killed\)/ },
      { packageName: 'full', code: 'BuilderFailed', says: /No space left on device/ },
      { packageName: 'notFetched', code: 'BuilderFailed', says: /Could not resolve host/ },
      { packageName: 'unfetched', code: 'FetchFailed', says: /the builder of unfetched failed with exit code 1/ },
    ])('of $packageName fails with $code', async ({ packageName, code, says }) => {
      const failure = builder.build(recipeOf(flake.url, packageName))
      await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
      await expect(failure).rejects.toMatchObject({ message: expect.stringContaining(flake.url) })
    })

    test('of a builder that writes invalid @nix lines is blamed on the builder if the daemon fails', async () => {
      const failure = await builder.build(recipeOf(flake.url, 'upsetting')).then(
        () => undefined,
        (error: unknown) => error,
      )
      const message = expect.stringMatching(/a builder wrote a line that begins with @nix.*\[json\.exception\./)
      if (failure !== undefined) expect(failure).toMatchObject({ code: 'BuilderFailed', message })
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
      const { origin } = server
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

    test('that fails after 10,000 lines shows the last ones, and the log file has all', async () => {
      const build = builder.start(recipeOf(flake.url, 'needsChatty'))
      const error = await build.done.catch(error => error)
      expect(error.code).toBe('BuilderFailed')
      expect(error.message).toContain('the builder of chatty failed with exit code 3')
      const shown = [...error.message.matchAll(/^line (\d+) of many$/gm)].map(([, number]) => Number(number))
      expect(shown).toEqual(Array.from({ length: 20 }, (_, index) => 9980 + index))
      const reported = build.progress.flatMap(progress => (progress.phase === 'log' ? [progress.line] : []))
      expect(reported.at(-1)).toBe('line 9999 of many')
      expect(reported).toContainEqual(expect.stringMatching(/^… \d+ lines, which only the log file has …$/))
      const [name = ''] = /[^ ]+\.log(?= on the node)/.exec(error.message) ?? []
      const log = await readFile(name, 'utf8')
      expect(log.match(/^chatty> line \d+ of many$/gm)).toHaveLength(10_000)
    })
  })
}

/** Rows for tables of tests. */
export function waysToStore(withoutDaemon: boolean) {
  const through = { how: 'through a daemon', daemon: true }
  return withoutDaemon ? [through, { how: 'without a daemon', daemon: false }] : [through]
}

function fail(): never {
  throw new Error('it was built')
}

function storePathOf(hash: string, name: string): string {
  return `/nix/store/${hash.padStart(32, '0')}-${name}`
}

const MISSING = storePathOf('', 'missing')

async function hashOf(bed: Bed, nix: string, { dir }: TestFlake): Promise<string> {
  return (await bed.run(nix, ['hash', 'path', dir, '--extra-experimental-features', 'nix-command'])).stdout
}

/** What the database of the store contains. */
async function queryStore(bed: Bed, what: string, paths: readonly string[]): Promise<string[]> {
  const { stdout } = await bed.run('nix-store', ['--query', what, ...paths], { user: bed.buildUser })
  return stdout.split('\n').filter(line => line !== '')
}

async function registered(bed: Bed, path: string): Promise<StorePathInfo> {
  const [hash = ''] = await queryStore(bed, '--hash', [path])
  const base16 = await bed.run('nix-hash', ['--to-base16', '--type', 'sha256', hash.slice('sha256:'.length)])
  const [size] = await queryStore(bed, '--size', [path])
  const references = await queryStore(bed, '--references', [path])
  return { path, narHash: base16.stdout, narSize: Number(size), references: references.sort() }
}

function sorted({ references, ...info }: StorePathInfo): StorePathInfo {
  return { ...info, references: [...references].sort() }
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
