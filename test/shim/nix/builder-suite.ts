import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recipeKey } from '../../../recipes/recipe.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { describeEvaluations } from './evaluation-cases.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from './remote-builder.ts'

/** How Nix gets to its store. */
export type Way = 'through a daemon' | 'without a daemon'

export interface SuiteOptions {
  /** By default only through a daemon. */
  readonly ways?: readonly Way[]
  /** Runs before the beds are created. */
  readonly prepare?: () => Promise<void>
  /** Path of the nix to run in a bed. */
  readonly command?: (bed: Bed) => Promise<string>
}

/** Limits of a garbage collection, for which every disk is full. */
const FULL = { below: { bytes: 2 ** 60 }, upTo: { bytes: 2 ** 61 } }

/** What builds with every version of Nix must do. */
export function describeBuilds({
  prepare = async () => {},
  command = async () => 'nix',
  ways = ['through a daemon'],
}: SuiteOptions = {}): void {
  describe.each(ways)('a build %s', way => {
    const daemon = way === 'through a daemon'
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

    test('returns the hints of the package, and saves them', async () => {
      const recipe = recipeOf(`${flake.url}?narHash=${encodeURIComponent(await hashOf(bed, nix, flake))}`, 'tool')
      const output = await builder.build(recipe)
      const imageConfig = { Cmd: [`${output.storePath}/bin/tool`], ExposedPorts: { '80/tcp': {} } }
      expect(output.package).toEqual({ mainProgram: 'tool', imageConfig })
      expect(await builder.findResult(recipe)).toEqual(output)
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

    test('survives a garbage collection of the shim, which frees the rest', async () => {
      await using collecting = startBuilder(bed, { nix: { command: nix }, collection: { ...FULL, always: true } })
      const [kept, dropped] = [recipeOf(flake.url, 'base'), recipeOf(flake.url, 'streamed')]
      const { storePath: keptPath } = await collecting.build(kept)
      const { storePath: droppedPath } = await collecting.build(dropped)
      await collecting.keepOnly([recipeKey(kept)])
      await collecting.collectGarbage()
      await bed.run('ls', [keptPath])
      await expect(bed.run('ls', [droppedPath])).rejects.toThrow()
    })

    test('leaves garbage in the store if Nix has a min-free that acts before', async () => {
      // Nix itself must not collect in this test.
      const env = { NIX_CONFIG: `min-free = ${2 ** 61}\nmin-free-check-interval = ${2 ** 30}` }
      await using leaving = startBuilder(bed, { nix: { command: nix }, env, collection: { ...FULL, always: false } })
      const { storePath } = await leaving.build(recipeOf(flake.url, 'streamed'))
      await leaving.keepOnly([])
      await leaving.collectGarbage()
      await bed.run('ls', [storePath])
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
        packageName: 'mute',
        code: 'BuilderFailed',
        says: /the builder of mute failed with exit code 1\. It wrote no log\./,
      },
      { packageName: 'outless', code: 'BuilderFailed', says: /failed to produce output path/ },
      { packageName: 'mismatch', code: 'BuilderFailed', says: /hash mismatch in fixed-output derivation/ },
      { packageName: 'liar', code: 'BuilderFailed', says: /the builder of liar failed with exit code 1/ },
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

    // Evaluation does not depend on how Nix gets to its store.
    if (daemon) describeEvaluations(() => ({ bed, flake, builder, nix }))

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
