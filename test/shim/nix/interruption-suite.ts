import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import type { SuiteOptions } from './builder-suite.ts'
import { makeFlake, type TestFlake } from './flake.ts'
import { recipeOf, startBuilder } from './remote-builder.ts'

/** Interruptions that builds with every version of Nix must handle. */
export function describeInterruptions({
  prepare = async () => {},
  command = async () => 'nix',
  ways = ['through a daemon'],
}: SuiteOptions = {}): void {
  describe.each(ways)('a build %s', way => {
    const daemon = way === 'through a daemon'
    let bed: Bed
    let flake: TestFlake
    let nix: string
    beforeAll(async () => {
      await prepare()
      bed = await startBed({ daemon, without: ['containerd'] })
      flake = await makeFlake(bed.dir)
      nix = await command(bed)
    })
    afterAll(async () => bed?.[Symbol.asyncDispose]())

    test('that takes too long is ended with its builder', async () => {
      // On a busy machine the time may be over before the builder starts. Then it gets more.
      for (let timeoutMs = 2_000, hasBegun = false; !hasBegun; timeoutMs *= 4) {
        await using builder = startBuilder(bed, { nix: { command: nix, timeoutMs } })
        const build = builder.start(recipeOf(flake.url, 'waiting'))
        const begun = build.untilLog(/^pid (\d+)$/).catch(() => undefined)
        await expect(build.done).rejects.toMatchObject({ code: 'BuildTimedOut' })
        const pid = await begun
        if (pid === undefined) continue
        hasBegun = true
        const words = `^building waiting of \\S+ took longer than ${timeoutMs / 1000} s .*\\npid \\d+\\n`
        await expect(build.done).rejects.toThrow(new RegExp(words, 's'))
        await untilGone(bed, pid)
      }
    })

    test('that nobody waits for any more is ended with its builder', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      const build = builder.start(recipeOf(flake.url, 'waiting'))
      const pid = await build.untilLog(/^pid (\d+)$/)
      build.abort()
      await expect(build.done).rejects.toMatchObject({ code: 'Cancelled', retryable: true })
      await untilGone(bed, pid)
    })

    test('that is cancelled during its evaluation ends', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      const build = builder.start(recipeOf(flake.url, 'waiting'))
      await build.until(({ phase }) => phase === 'evaluating')
      build.abort()
      await expect(build.done).rejects.toMatchObject({ code: 'Cancelled' })
    })

    test('whose builder is killed is retryable', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      const build = builder.start(recipeOf(flake.url, 'waiting'))
      await bed.run('kill', ['-KILL', await build.untilLog(/^pid (\d+)$/)])
      await expect(build.done).rejects.toMatchObject({ code: 'BuildInterrupted', retryable: true })
    })

    /** Nix checks every 5 s whether another client still builds the same. */
    test('succeeds again after the shim was killed during the same build', async () => {
      const recipe = recipeOf(flake.url, 'waiting2')
      const first = startBuilder(bed, { nix: { command: nix } })
      await first.start(recipe).untilLog(/^pid (\d+)$/)
      await first[Symbol.asyncDispose]()
      await using second = startBuilder(bed, { stateDir: first.stateDir, nix: { command: nix } })
      const build = second.start(recipe)
      await build.until(({ phase }) => phase === 'building' || phase === 'evaluating')
      const opened = writeFile(flake.gate, 'open\n')
      await expect(build.done).resolves.toMatchObject({ storePath: expect.stringMatching(/-waiting2$/) })
      await opened
    })

    test('of an unlocked flake asks which content it should have only when it has left the queue', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix, maxBuilds: 1 } })
      const running = builder.start(recipeOf(flake.url, 'waiting4'))
      await running.untilLog(/^pid (\d+)$/)
      const lock = `git+file:///nowhere?rev=${'0'.repeat(40)}`
      const queued = builder.startLocked(recipeOf(flake.url, 'hello'), lock)
      await queued.until(({ phase }) => phase === 'queued')
      expect(queued.progress).toEqual([{ phase: 'queued', ahead: 0 }])
      running.abort()
      await expect(running.done).rejects.toMatchObject({ code: 'Cancelled' })
      await queued.untilLog(/^which content\?$/)
      await queued.done
    })

    test('is queued beyond maxBuilds, after builds of namespaces that have none running', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix, maxBuilds: 1 } })
      const running = builder.start(recipeOf(flake.url, 'waiting3'), 'busy')
      await running.untilLog(/^pid (\d+)$/)
      const second = builder.start(recipeOf(flake.url, 'hello'), 'busy')
      const given = builder.start(recipeOf(flake.url, 'base'), 'busy')
      const other = builder.start(recipeOf(flake.url, 'images.web'), 'other')
      await other.until(progress => progress.phase === 'queued' && progress.ahead === 0)
      await given.until(progress => progress.phase === 'queued' && progress.ahead === 2)
      given.abort()
      await expect(given.done).rejects.toMatchObject({ code: 'Cancelled' })
      expect(second.progress).toEqual([
        { phase: 'queued', ahead: 0 },
        { phase: 'queued', ahead: 1 },
      ])
      await writeFile(flake.gate, 'open\n')
      await Promise.all([running.done, second.done, other.done])
      // Its namespace has no running build.
      expect(other.progress.filter(({ phase }) => phase === 'queued')).toEqual([{ phase: 'queued', ahead: 0 }])
    })
  })

  describe.runIf(ways.includes('through a daemon'))('a nix daemon', () => {
    let bed: Bed
    let flake: TestFlake
    let nix: string
    beforeAll(async () => {
      await prepare()
      bed = await startBed({ without: ['containerd'] })
      flake = await makeFlake(bed.dir)
      nix = await command(bed)
    })
    beforeEach(async () => {
      if (bed.nixDaemon.pid === undefined) await bed.nixDaemon.start()
    })
    afterAll(async () => bed?.[Symbol.asyncDispose]())

    test('that is killed during a build is waited for, and the build starts again', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      const build = builder.start(recipeOf(flake.url, 'waiting'))
      const first = await build.untilLog(/^pid (\d+)$/)
      await bed.nixDaemon.kill()
      await build.untilLog(WAITS)
      await bed.nixDaemon.start()
      await build.until(each => each.phase === 'log' && each.line.startsWith('pid ') && each.line !== `pid ${first}`)
      await writeFile(flake.gate, 'open\n')
      await expect(build.done).resolves.toMatchObject({ storePath: expect.stringMatching(/-waiting$/) })
      expect(build.progress.filter(each => each.phase === 'log' && WAITS.test(each.line))).toHaveLength(1)
    })

    test('that is away when an import asks about store paths is also waited for', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      const { storePath } = await builder.build(recipeOf(flake.url, 'hello'))
      await bed.nixDaemon.stop()
      const asked = builder.pathInfo([storePath], { recursive: true, waitForDaemon: true })
      await expect(builder.pathInfo([storePath])).rejects.toMatchObject({ code: 'NixDaemonAway' })
      await bed.nixDaemon.start()
      await expect(asked).resolves.toMatchObject([{ path: storePath }])
    })

    test('that stays away is reported with the time of the wait', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix, daemonWaitMs: 300 } })
      await bed.nixDaemon.stop()
      await expect(builder.build(recipeOf(flake.url, 'base'))).rejects.toMatchObject({
        code: 'NixDaemonAway',
        retryable: true,
        message: expect.stringMatching(/cannot connect to socket.* \(waited 0\.\d s for it\)$/s),
      })
    })

    test('that is away does not prevent the cancellation of a waiting run', async () => {
      await using builder = startBuilder(bed, { nix: { command: nix } })
      await bed.nixDaemon.stop()
      const build = builder.start(recipeOf(flake.url, 'base'))
      await build.untilLog(WAITS)
      build.abort()
      await expect(build.done).rejects.toMatchObject({ code: 'Cancelled' })
    })
  })
}

const WAITS = /^the Nix daemon is away: waiting for it, 20 s at most$/

/** The daemon ends a builder a moment after its client has ended. */
async function untilGone(bed: Bed, pid: string): Promise<void> {
  const script = 'while kill -0 "$1" 2>/dev/null; do sleep 0.02; done'
  await bed.run('sh', ['-c', script, 'sh', pid])
}
