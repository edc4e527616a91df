import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chown, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recipeKey } from '../../../recipes/recipe.ts'
import { parseNarInfo } from '../../../shim/nix/binary-cache/narinfo.ts'
import { fingerprintOf } from '../../../shim/nix/binary-cache/signatures.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { type BinaryCache, startBinaryCache } from '../../node/binary-cache.ts'
import { makeSigningKey, type SigningKey } from '../../node/signing-key.ts'
import { PATIENT } from '../../patience.ts'
import { WRONG_NARINFOS } from './binary-cache/wrong-narinfo.ts'
import type { FakeCluster, SharingEvent } from './fake-sharing.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import type { RemoteBuild } from './remote-build.ts'
import { type RemoteBuilder, type RemoteBuilderOptions, recipeOf, startBuilder } from './remote-builder.ts'

export interface SharedSuiteOptions {
  /** Runs before the beds are created. */
  readonly prepare?: () => Promise<void>
  /** Path of the nix to run in a bed. */
  readonly command?: (bed: Bed) => Promise<string>
  /** Leaves out what does not depend on the version of Nix. */
  readonly onlyNix?: boolean
}

const FEATURES = { 'experimental-features': 'nix-command flakes ca-derivations' }
const IN_CACHE = [
  'program',
  'documented',
  'big',
  'left',
  'lying',
  ...Array.from({ length: 30 }, (_, number) => `copy${number}`),
]

/** Two nodes: what one has built, the other copies. The rest of the cluster is played. */
export function describeSharedBuilds({
  prepare = async () => {},
  command = async () => 'nix',
  onlyNix = false,
}: SharedSuiteOptions = {}): void {
  const ownTest = onlyNix ? () => {} : test
  const ownDescribe = onlyNix ? () => {} : describe
  describe('a shared build', () => {
    let dir: string
    let builderBed: Bed
    let bed: Bed
    let own: SigningKey
    let nix: string
    let flake: TestFlake
    let folder: string
    let cache: BinaryCache
    let copies = 0
    beforeAll(async () => {
      await prepare()
      dir = await mkdtemp(join(tmpdir(), 'shared-build-'))
      const key = makeSigningKey('worker-3')
      own = makeSigningKey('worker-2')
      const writeKey = async (name: string, { secret }: SigningKey) => {
        await writeFile(join(dir, name), secret, { mode: 0o600 })
        return join(dir, name)
      }
      const keys = { 'trusted-public-keys': key.public, 'secret-key-files': await writeKey('own', own) }
      const keyFile = await writeKey('key', key)
      const without = ['containerd'] as const
      ;[builderBed, bed] = await Promise.all([
        startBed({ without, nixSettings: { ...FEATURES, 'secret-key-files': keyFile } }),
        startBed({ without, nixSettings: { ...FEATURES, ...keys } }),
      ])
      nix = await command(bed)
      flake = await makeFlake(bed.dir, join(import.meta.dirname, 'flakes/shared'))
      folder = await fillCache()
      cache = await startBinaryCache(folder)
    })
    afterAll(async () => {
      await cache?.[Symbol.asyncDispose]()
      await bed?.[Symbol.asyncDispose]()
      await builderBed?.[Symbol.asyncDispose]()
      await rm(dir, { recursive: true })
    })

    /** Builds packages on the other node, and puts them into a folder that is a binary cache. */
    async function fillCache(): Promise<string> {
      const made = join(builderBed.dir, 'cache')
      const installables = IN_CACHE.map(name => `${flake.url}#packages.x86_64-linux.${name}`)
      const { stdout } = await builderBed.run('nix', ['build', '--json', '--no-link', ...installables])
      const paths = JSON.parse(stdout).flatMap(({ outputs }: { outputs: object }) => Object.values(outputs))
      await builderBed.run('nix', ['copy', '--to', `file://${made}?compression=none`, ...paths])
      return made
    }

    function builderIn(cluster: FakeCluster, options: RemoteBuilderOptions = {}): RemoteBuilder {
      return startBuilder(bed, { cluster, ...options, nix: { command: nix, ...options.nix } })
    }

    /** A node that gets no claim, and finds the paths there. */
    function copierOf(urls: readonly string[], options?: RemoteBuilderOptions, otherwise?: FakeCluster['otherwise']) {
      const sources = urls.map(url => ({ url, node: 'worker-3' }))
      return builderIn({ claims: false, sources, ...(otherwise && { otherwise }) }, options)
    }

    /** A package that the other node has, and this one has not. */
    function nextCopy() {
      copies += 1
      return recipeOf(flake.url, `copy${copies}`)
    }

    describe('that this node claims', () => {
      ownTest('is built, and the claim hears of the progress and the end', async () => {
        await using builder = builderIn({ claims: true })
        const recipe = recipeOf(flake.url, 'claimed')
        const { storePath } = await builder.build(recipe)
        const events = await builder.sharingEvents()
        expect(events).toContainEqual({ event: 'progress', phase: 'building' })
        expect(withoutProgress(events)).toEqual([{ event: 'claim', storePath }, { event: 'end' }])
        // It is in the store now, so nothing is claimed again.
        expect((await builder.build(recipe)).storePath).toBe(storePath)
        expect(withoutProgress(await builder.sharingEvents())).toHaveLength(2)
        expect(await readlink(join(builder.stateDir, 'gcroots', recipeKey(recipe)))).toBe(storePath)
      })

      ownTest('and that fails ends the claim with the error', async () => {
        await using builder = builderIn({ claims: true })
        await expect(builder.build(recipeOf(flake.url, 'mute'))).rejects.toMatchObject({ code: 'BuilderFailed' })
        expect(await builder.sharingEvents()).toContainEqual({ event: 'end', failure: 'BuilderFailed' })
      })

      ownTest('and that is cancelled ends the claim', async () => {
        await using builder = builderIn({ claims: true })
        const build = builder.start(recipeOf(flake.url, 'waiting'))
        await build.untilLog(/^pid (\d+)$/)
        build.abort()
        await expect(build.done).rejects.toMatchObject({ code: 'Cancelled' })
        expect(await builder.sharingEvents()).toContainEqual({ event: 'end', failure: 'Cancelled' })
      })

      ownTest('and that is cancelled while it asks for the claim gives up its place', async () => {
        await using builder = builderIn({ claims: 'never' }, { nix: { maxBuilds: 1 } })
        const build = builder.start(recipeOf(flake.url, 'waiting'))
        const claims = async () => (await builder.sharingEvents()).map(({ event }) => event)
        await expect.poll(claims, PATIENT).toEqual(['claim'])
        build.abort()
        await expect(build.done).rejects.toMatchObject({ code: 'Cancelled' })
        const next = builder.start(recipeOf(flake.url, 'waiting2'))
        await expect.poll(claims, PATIENT).toEqual(['claim', 'claim'])
        next.abort()
      })

      test('but whose output path is not known before is built without a claim', async () => {
        await using builder = builderIn({ claims: false })
        expect(hasBuilt(await ended(builder.start(recipeOf(flake.url, 'addressed'))))).toBe(true)
        expect(await builder.sharingEvents()).toEqual([])
      })

      test('but whose package names another path is claimed under its own', async () => {
        await using builder = builderIn({ claims: true })
        const { storePath } = await builder.build(recipeOf(flake.url, 'lying'))
        expect(storePath).toMatch(/-truth$/)
        expect(await builder.sharingEvents()).toContainEqual({ event: 'claim', storePath })
      })
    })

    describe('that another node has built', () => {
      test('is copied with its references, and kept with a gc root', async () => {
        await using builder = copierOf([cache.url])
        const before = cache.requests.length
        const recipe = nextCopy()
        const build = await ended(builder.start(recipe))
        const { storePath, runId } = await build.done
        expect(await builder.sharingEvents()).toEqual([
          { event: 'claim', storePath },
          { event: 'find', failed: [] },
          { event: 'copied', url: cache.url },
        ])
        expect(build.progress).toContainEqual(expect.objectContaining({ phase: 'copying', from: 'worker-3' }))
        expect(hasBuilt(build)).toBe(false)
        expect(await readlink(join(builder.stateDir, 'gcroots', recipeKey(recipe)))).toBe(storePath)
        expect(await builder.pathInfo([storePath], { recursive: true })).toHaveLength(2)
        const narInfos = cache.requests.slice(before).filter(path => path.endsWith('.narinfo'))
        // Nix asks about each reference once.
        expect(narInfos.filter(path => !storePath.includes(basename(path, '.narinfo')))).toHaveLength(1)
        expect(await logOf(builder, runId)).not.toContain('could not be copied')
      })

      test('is kept if garbage is collected when it has just been copied', async () => {
        const command = join(bed.dir, 'nix-that-collects')
        const script = `#!/bin/sh\n${nix} "$@" || exit\ncase $1 in copy) nix-store --delete "$4" 2>&1; echo tried >&2 ;; esac\n`
        await writeFile(command, script, { mode: 0o755 })
        await using builder = copierOf([cache.url], { nix: { command } })
        const build = await ended(builder.start(nextCopy()))
        const { runId } = await build.done
        expect(await logOf(builder, runId)).toContain('tried')
        expect(hasBuilt(build)).toBe(false)
      })

      test('is copied again if a broken copy has left it without making it valid', async () => {
        await using builder = copierOf([cache.url])
        const { storePath } = await builder.build(nextCopy())
        await bed.run('rm', ['-r', join(builder.stateDir, 'gcroots')])
        await bed.run('nix-store', ['--delete', storePath])
        await bed.run('sh', ['-c', 'mkdir "$0"; echo half > "$0"/file', storePath])
        copies -= 1
        await using next = copierOf([cache.url])
        expect((await next.build(nextCopy())).storePath).toBe(storePath)
        expect(await next.sharingEvents()).toContainEqual({ event: 'copied', url: cache.url })
        expect(await next.pathInfo([storePath])).toHaveLength(1)
      })

      test.each([
        ['sha256:HEX, as attic names it', (hash: Buffer) => `sha256:${hash.toString('hex')}`],
        ['sha256-BASE64', (hash: Buffer) => `sha256-${hash.toString('base64')}`],
      ])('is copied if the narinfo has the hash as %s', async (_, format) => {
        await using other = await startBinaryCache(folder)
        other.instead((path, response) => {
          if (!path.endsWith('.narinfo')) return false
          const narinfo = narinfoAt(path)
          const [, nar = ''] = /^URL: (.*)$/m.exec(narinfo) ?? []
          const hash = createHash('sha256')
            .update(readFileSync(join(folder, nar)))
            .digest()
          return !!response.end(narinfo.replace(/^NarHash: .*$/m, () => `NarHash: ${format(hash)}`))
        })
        await using builder = copierOf([other.url])
        expect(hasBuilt(await ended(builder.start(nextCopy())))).toBe(false)
      })

      test('is copied if only this node itself has signed it, as from a store that it has pushed to', async () => {
        const publicKeyFile = join(dir, 'worker-2.pub')
        await writeFile(publicKeyFile, `${own.public}\n`)
        await using foreign = await startBinaryCache(folder)
        foreign.instead((path, response) => {
          if (!path.endsWith('.narinfo')) return false
          response.end(signedBy(own, narinfoAt(path)))
          return true
        })
        await using builder = copierOf([foreign.url], { share: { publicKeyFile } })
        expect(hasBuilt(await ended(builder.start(nextCopy())))).toBe(false)
      })

      test('is copied without its other outputs', async () => {
        await using builder = copierOf([cache.url])
        expect(hasBuilt(await ended(builder.start(recipeOf(flake.url, 'documented'))))).toBe(false)
      })

      test('is copied from a store that only nix can read', async () => {
        await using builder = builderIn({ claims: false, sources: [{ url: `file://${folder}` }] })
        const build = await ended(builder.start(nextCopy()))
        expect(hasBuilt(build)).toBe(false)
        expect(build.progress).toContainEqual(expect.objectContaining({ phase: 'copying', from: `file://${folder}` }))
      })

      ownTest('is built here if nothing else is left, in the same run', async () => {
        await using builder = copierOf([])
        const build = await ended(builder.start(recipeOf(flake.url, 'left')))
        const { storePath } = await build.done
        const events = [{ event: 'claim', storePath }, { event: 'find', failed: [] }, { event: 'end' }]
        expect(withoutProgress(await builder.sharingEvents())).toEqual(events)
        const runs = build.progress.flatMap(each => (each.phase === 'evaluating' ? [each] : []))
        expect(new Set(runs.map(({ runId }) => runId)).size).toBe(1)
        expect(runs.filter(({ lockedFlakeUrl }) => lockedFlakeUrl !== undefined)).toHaveLength(1)
      })
    })

    test('whose derivation is deleted while it waits is evaluated again, and built', async () => {
      await using stalling = await startBinaryCache(folder)
      stalling.instead((path, response) => path.startsWith('/nar/') && response.write('x'))
      await using builder = copierOf([stalling.url])
      const recipe = nextCopy()
      const attribute = `${flake.url}#packages.x86_64-linux.copy${copies}.drvPath`
      const { stdout: drvPath } = await bed.run('nix', ['eval', '--raw', attribute])
      const build = builder.start(recipe)
      await expect.poll(() => stalling.requests.join('\n'), PATIENT).toContain('/nar/')
      await bed.run('nix-store', ['--delete', drvPath])
      await stalling[Symbol.asyncDispose]()
      expect(hasBuilt(await ended(build))).toBe(true)
    })

    describe('whose copy fails', () => {
      test.each([
        ['unsigned', 'it has no signature: set secret-key-files'],
        ['unsigned, but said to be verified by its content', 'it has no signature'],
        ['signed by an untrusted key', 'it is signed by stranger, which is not trusted (Nix trusts worker-3)'],
        ['endless', 'its answer about the path (the narinfo) is not valid'],
      ] as const)('because the narinfo is %j fetches nothing more, and is built', async (fault, words) => {
        await using broken = await startBinaryCache(folder)
        broken.instead((path, response) => {
          if (!path.endsWith('.narinfo')) return false
          WRONG_NARINFOS[fault](response, narinfoAt(path))
          return true
        })
        expect(await logOfFallback([broken.url])).toContain(words)
        expect(broken.requests).toHaveLength(1)
      })

      test('because the NAR is corrupt is built', async () => {
        await using broken = await startBinaryCache(folder)
        broken.instead((path, response) => path.startsWith('/nar/') && !!response.end(Buffer.alloc(400, 'x')))
        expect(await logOfFallback([broken.url])).toMatch(/could not be copied from worker-3 .*: nix copy failed: \S/)
        expect(broken.requests.join('\n')).toContain('/nar/')
      })

      test('because the Nix daemon trusts no key of it is built, whatever the client trusts', async () => {
        const stranger = makeSigningKey('stranger')
        await using foreign = await startBinaryCache(folder)
        foreign.instead((path, response) => {
          if (!path.endsWith('.narinfo')) return false
          response.end(signedBy(stranger, narinfoAt(path)))
          return true
        })
        const options = { 'trusted-public-keys': stranger.public }
        const log = await logOfFallback([foreign.url], { nix: { options } })
        expect(log).toMatch(
          /could not be copied from worker-3 .*: nix copy failed: .* lacks .*signature.*: add the public key/,
        )
        expect(foreign.requests.join('\n')).toContain('/nar/')
      })

      ownTest('because the server sends the NAR too slowly is built', async () => {
        await using broken = await startBinaryCache(folder)
        broken.instead((path, response) => path.startsWith('/nar/') && response.write('x'))
        const log = await logOfFallback([broken.url], { share: { copyTimeoutMs: 3000 } })
        expect(log).toContain('it took longer than 3 s (share.copyTimeout in the config)')
      })

      ownTest('because the address of the node makes nix read files is built', async () => {
        expect(await logOfFallback([`file://${folder}`])).toContain('its address is not the plain URL')
      })

      ownTest('because the server is away is copied from the next one', async () => {
        const away = await startBinaryCache(folder)
        await away[Symbol.asyncDispose]()
        await using builder = copierOf([away.url, cache.url])
        const build = await ended(builder.start(nextCopy()))
        expect(hasBuilt(build)).toBe(false)
        const words = /could not be copied from worker-3 \(\S+\): it cannot be asked/g
        expect((await logOf(builder, (await build.done).runId)).match(words)).toHaveLength(1)
        expect(build.progress.filter(each => each.phase === 'log' && words.test(each.line))).toHaveLength(1)
        const events = (await builder.sharingEvents()).filter(({ event }) => event !== 'claim')
        expect(events).toEqual([
          { event: 'find', failed: [] },
          { event: 'not copied', url: away.url },
          { event: 'find', failed: [away.url] },
          { event: 'copied', url: cache.url },
        ])
      })

      ownTest('because it is cancelled ends nix', async () => {
        await using stalling = await startBinaryCache(folder)
        stalling.instead((path, response) => path.startsWith('/nar/') && response.write('x'))
        await using builder = copierOf([stalling.url])
        const build = builder.start(nextCopy())
        await expect.poll(() => stalling.requests.join('\n'), PATIENT).toContain('/nar/')
        build.abort()
        await expect(build.done).rejects.toMatchObject({ code: 'Cancelled' })
        expect(await builder.sharingEvents()).toContainEqual({ event: 'not copied', url: stalling.url })
        const { exitCode } = await bed.run('pgrep', ['-f', '[c]opy --from'], { reject: false })
        expect(exitCode).toBe(1)
      })
    })

    async function logOfFallback(urls: readonly string[], options?: RemoteBuilderOptions): Promise<string> {
      await using builder = copierOf(urls, options)
      const build = await ended(builder.start(nextCopy()))
      expect(hasBuilt(build)).toBe(true)
      const { runId } = await build.done
      return logOf(builder, runId)
    }

    ownDescribe('that waits for another node', () => {
      test('holds no place, says so, and can be cancelled', async () => {
        await using builder = copierOf([], { nix: { maxBuilds: 1, timeoutMs: 30_000 } }, 'wait')
        const build = builder.start(nextCopy())
        await build.until(({ phase }) => phase === 'waiting')
        expect(build.progress.at(-1)).toEqual({ phase: 'waiting', node: 'worker-3', progress: '12 of 40' })
        const other = builder.start(nextCopy())
        await other.until(({ phase }) => phase === 'waiting')
        for (const each of [build, other]) {
          each.abort()
          await expect(each.done).rejects.toMatchObject({ code: 'Cancelled' })
        }
      })

      test('may wait longer than a build may take', async () => {
        const timeoutMs = 12_000
        const sources = [{ url: cache.url, node: 'worker-3' }]
        await using builder = builderIn({ claims: false, sources, waitMs: timeoutMs + 500 }, { nix: { timeoutMs } })
        const build = await ended(builder.start(nextCopy()))
        expect(hasBuilt(build)).toBe(false)
        expect(build.progress).toContainEqual(expect.objectContaining({ phase: 'waiting' }))
      })

      test('fails with the final error of that node', async () => {
        const error = { code: 'BuilderFailed', message: 'the builder of app failed' } as const
        await using builder = copierOf([], {}, error)
        await expect(builder.build(nextCopy())).rejects.toMatchObject(error)
      })
    })

    ownTest('that is being copied holds no place for builds', async () => {
      await using stalling = await startBinaryCache(folder)
      let stalled = 0
      stalling.instead((path, response) => path.startsWith('/nar/') && stalled++ === 0 && response.write('x'))
      await using builder = copierOf([stalling.url], { nix: { maxBuilds: 1 } })
      const first = builder.start(nextCopy())
      await expect.poll(() => stalled, PATIENT).toBe(1)
      await builder.build(nextCopy())
      first.abort()
      await expect(first.done).rejects.toMatchObject({ code: 'Cancelled' })
    })

    describe('with a store that gets what this node builds', () => {
      test('is copied there in the background, compressed by zstd', async () => {
        const store = join(bed.dir, 'pushed')
        await mkdir(store)
        await chown(store, bed.buildUser.uid, bed.buildUser.gid)
        await using builder = builderIn({ claims: true }, { share: { push: `file://${store}` } })
        const { storePath } = await builder.build(nextCopy())
        const narinfo = join(store, `${basename(storePath).slice(0, 32)}.narinfo`)
        // The claim hears of it, so that no other node builds meanwhile.
        await expect.poll(() => builder.sharingEvents(), PATIENT).toContainEqual({ event: 'pushed' })
        expect(await readFile(narinfo, 'utf8')).toContain('Compression: zstd')
      })

      ownTest('is copied there later if that store fails first', async () => {
        const put: string[] = []
        let failures = 2
        await using store = await startBinaryCache(dir)
        store.instead((path, response) => {
          if (response.req.method !== 'PUT') return false
          const isRefused = failures > 0
          failures -= 1
          if (!isRefused) put.push(path)
          response.req.resume().once('end', () => response.writeHead(isRefused ? 403 : 200).end())
          return true
        })
        await using builder = builderIn({ claims: true }, { share: { push: store.url } })
        const { storePath } = await builder.build(nextCopy())
        await expect.poll(() => put, PATIENT).toContain(`/${basename(storePath).slice(0, 32)}.narinfo`)
      })
    })

    describe('on a node that builds nothing', () => {
      const fetchOnly = { nix: { maxBuilds: 0 } }
      const nothing = { code: 'NothingBuilt', message: 'nobody has built it' } as const

      test('is copied', async () => {
        await using builder = copierOf([cache.url], fetchOnly)
        expect(hasBuilt(await ended(builder.start(nextCopy())))).toBe(false)
      })

      test('is never built, whatever cannot be copied', async () => {
        await using empty = await startBinaryCache(dir)
        await using builder = copierOf([empty.url], fetchOnly, nothing)
        const build = builder.start(nextCopy())
        await expect(build.done).rejects.toMatchObject(nothing)
        expect(hasBuilt(build)).toBe(false)
      })

      test.each([
        ['addressed', /builds nothing, .* cannot be copied: its output path is not known/],
        ['imports', /builds nothing, .* cannot be copied: its evaluation reads what is built first/],
      ])('is not built for its path, as %j would need', async (name, message) => {
        await using builder = copierOf([cache.url], fetchOnly)
        const build = builder.start(recipeOf(flake.url, name))
        await expect(build.done).rejects.toMatchObject({
          code: 'NothingBuilt',
          message: expect.stringMatching(message),
        })
        expect(hasBuilt(build)).toBe(false)
      })

      test('is not run if it is a program, but its archive is used if it is there', async () => {
        await using builder = copierOf([cache.url], fetchOnly)
        const recipe = recipeOf(flake.url, 'program')
        const { storePath } = await builder.build(recipe)
        const program = { path: storePath, storePath, shell: { path: '/bin/sh', argument: '' } }
        const message = expect.stringMatching(/builds nothing, .* it is a program that writes the image/)
        await expect(builder.runProgram(recipe, program)).rejects.toMatchObject({ code: 'NothingBuilt', message })
        await using other = builderIn({ claims: true })
        expect(await other.runProgram(recipe, program)).toBe('written\n')
        expect(await builder.runProgram(recipe, program)).toBe('written\n')
      })
    })

    function narinfoAt(path: string): string {
      return readFileSync(join(folder, path), 'utf8')
    }
  })
}

function signedBy({ sign }: SigningKey, narinfo: string): string {
  const info = parseNarInfo(narinfo)
  if (info === undefined) throw new Error('the cache has an invalid narinfo')
  return narinfo.replace(/^Sig: .*$/m, () => `Sig: ${sign(fingerprintOf(info))}`)
}

function withoutProgress(events: readonly SharingEvent[]): SharingEvent[] {
  return events.filter(({ event }) => event !== 'progress')
}

async function ended(build: RemoteBuild): Promise<RemoteBuild> {
  await build.done
  return build
}

function hasBuilt({ progress }: RemoteBuild): boolean {
  return progress.some(({ phase }) => phase === 'building')
}

async function logOf({ stateDir }: RemoteBuilder, runId: string): Promise<string> {
  return readFile(join(stateDir, 'logs', `${runId}.log`), 'utf8')
}
