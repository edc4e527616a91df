import { mkdtemp, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recipeKey } from '../../../recipes/recipe.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { type BinaryCache, makeSigningKey, startBinaryCache } from '../../node/binary-cache.ts'
import type { FakeCluster } from './fake-sharing.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import { type RemoteBuilder, type RemoteBuilderOptions, recipeOf, startBuilder } from './remote-builder.ts'

export interface SharedSuiteOptions {
  /** Runs before the beds are created. */
  readonly prepare?: () => Promise<void>
  /** Path of the nix to run in a bed. */
  readonly command?: (bed: Bed) => Promise<string>
}

/** Two nodes: what one has built, the other copies. */
export function describeSharedBuilds({
  prepare = async () => {},
  command = async () => 'nix',
}: SharedSuiteOptions = {}): void {
  describe('a shared build', () => {
    let dir: string
    let builderBed: Bed
    let bed: Bed
    let nix: string
    let flake: TestFlake
    let cache: BinaryCache
    beforeAll(async () => {
      await prepare()
      dir = await mkdtemp(join(tmpdir(), 'shared-build-'))
      const key = await makeSigningKey(dir, 'worker-3')
      const trusting = { 'trusted-public-keys': key.publicKey }
      const without = ['containerd'] as const
      ;[builderBed, bed] = await Promise.all([
        startBed({ without, nixSettings: { 'secret-key-files': key.file } }),
        startBed({ without, nixSettings: trusting }),
      ])
      nix = await command(bed)
      flake = await makeFlake(bed.dir)
      cache = await startBinaryCache(await fill(['hello', 'documented']))
    })
    afterAll(async () => {
      await cache?.[Symbol.asyncDispose]()
      await bed?.[Symbol.asyncDispose]()
      await builderBed?.[Symbol.asyncDispose]()
      await rm(dir, { recursive: true })
    })

    /** Builds packages on the other node, and puts them into a folder that is a binary cache. */
    async function fill(packages: readonly string[]): Promise<string> {
      const folder = join(builderBed.dir, 'cache')
      const installables = packages.map(name => `${flake.url}#packages.x86_64-linux.${name}`)
      const { stdout } = await builderBed.run('nix', ['build', '--json', '--no-link', ...installables])
      const paths = JSON.parse(stdout).flatMap(({ outputs }: { outputs: object }) => Object.values(outputs))
      await builderBed.run('nix', ['copy', '--to', `file://${folder}?compression=none`, ...paths])
      return folder
    }

    function builderIn(cluster: FakeCluster, options: RemoteBuilderOptions = {}): RemoteBuilder {
      return startBuilder(bed, { cluster, ...options, nix: { command: nix, ...options.nix } })
    }

    test('builds what this node has claimed, and tells the claim its progress and end', async () => {
      await using builder = builderIn({ claims: true })
      const { storePath } = await builder.build(recipeOf(flake.url, 'linked'))
      const events = await builder.sharingEvents()
      expect(events).toContainEqual({ event: 'progress', phase: 'building' })
      expect(events.filter(({ event }) => event !== 'progress')).toEqual([
        { event: 'claim', storePath },
        { event: 'end' },
        { event: 'built', storePath },
      ])
    })

    test('copies the output and its references instead of building them, and keeps it with a gc root', async () => {
      await using builder = builderIn({ claims: false, sources: [{ url: cache.url, node: 'worker-3' }] })
      const recipe = recipeOf(flake.url, 'hello')
      const build = builder.start(recipe)
      const { storePath, runId } = await build.done
      expect(storePath).toMatch(/-hello$/)
      expect(await builder.sharingEvents()).toEqual([
        { event: 'claim', storePath },
        { event: 'find', failed: [] },
        { event: 'copied', url: cache.url },
      ])
      expect(build.progress.map(({ phase }) => phase)).not.toContain('building')
      const from = expect.objectContaining({ phase: 'copying', from: 'worker-3' })
      expect(build.progress).toContainEqual(from)
      expect(await readlink(join(builder.stateDir, 'gcroots', recipeKey(recipe)))).toBe(storePath)
      expect(await builder.pathInfo([storePath])).toHaveLength(1)
      expect(await readFile(join(builder.stateDir, 'logs', `${runId}.log`), 'utf8')).not.toContain('failed')
    })
  })
}
