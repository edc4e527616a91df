import { randomBytes } from 'node:crypto'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample } from '../../node/example.ts'
import type { CallOptions } from '../../node/grpc.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { untilLogged } from './builds.ts'

/** The tests break what they run on: each has a node of its own. */
let bed: Bed

beforeEach(async () => {
  bed = await startBed()
})
afterEach(async () => bed?.[Symbol.asyncDispose]())

interface Gated {
  /** The pull of an image that waits, half-way, until the gate is opened. */
  pull(shim: Shim, options?: CallOptions): Promise<string>
  open(): Promise<void>
  untilWaiting(): Promise<void>
  isWaiting(): Promise<boolean>
}

/** `gated` waits in its builder, `gated-stream` is a program that waits while it writes the image. */
async function makeGated(packageName: 'gated' | 'gated-stream' = 'gated'): Promise<Gated> {
  const example = await copyExample('formats', bed.dir)
  const gate = await addGate(example)
  const recipe = { image: 'registry.example/crash/app:1', flakeUrl: example.url, packageName }
  const waiting = { gated: `until test -e ${gate};`, 'gated-stream': '^/nix/store/.*-stream-gated' }[packageName]
  const isWaiting = async () => (await bed.run('pgrep', ['-f', waiting], { reject: false })).exitCode === 0
  return {
    pull: (shim, options) => bed.cri(shim.socket).pullImage(recipePull(recipe), options),
    open: () => writeFile(gate, ''),
    isWaiting,
    untilWaiting: () => expect.poll(isWaiting, PATIENT).toBe(true),
  }
}

describe('SIGKILL of the shim', () => {
  it.each([
    ['a build', 'gated'],
    ['the run of a program', 'gated-stream'],
  ] as const)('in the middle of %s: the same pull again succeeds', async (_name, packageName) => {
    const gated = await makeGated(packageName)
    const shim = await bed.startShim()
    const cut = gated.pull(shim)
    const failed = expect(cut).rejects.toMatchObject({ code: expect.any(Number) })
    await gated.untilWaiting()
    await shim.daemon.kill()
    await failed
    await shim.daemon.start()
    const again = gated.pull(shim)
    await gated.open()
    await expect(again).resolves.toMatch(/^sha256:/)
  })
})

describe('a caller that hangs up', () => {
  it('and does not come back ends the build and its builder after abandonAfter', async () => {
    const gated = await makeGated()
    const shim = await bed.startShim({ config: { nix: { user: bed.buildUser.name, abandonAfter: '100ms' } } })
    const caller = new AbortController()
    const left = expect(gated.pull(shim, { signal: caller.signal })).rejects.toMatchObject({ code: 1 })
    await gated.untilWaiting()
    caller.abort()
    await left
    await expect.poll(gated.isWaiting, PATIENT).toBe(false)
    await gated.open()
    await expect(gated.pull(shim)).resolves.toMatch(/^sha256:/)
  })
})

describe('the nix daemon', () => {
  it('may be killed during a build: the build starts again when the daemon is back', async () => {
    const gated = await makeGated()
    const shim = await bed.startShim()
    const running = gated.pull(shim)
    await gated.untilWaiting()
    await bed.nixDaemon.kill()
    await untilLogged(shim, 'the Nix daemon is away: waiting for it')
    await bed.nixDaemon.start()
    await gated.open()
    await expect(running).resolves.toMatch(/^sha256:/)
  })
})

describe('containerd', () => {
  it('may restart during a build without any effect', async () => {
    const gated = await makeGated()
    const shim = await bed.startShim()
    const running = gated.pull(shim)
    await untilLogged(shim, 'build started')
    await bed.containerd.restart()
    await gated.open()
    await expect(running).resolves.toMatch(/^sha256:/)
  })

  it('may be killed during an import: the import starts again when containerd is back', async () => {
    const example = await copyExample('formats', bed.dir)
    // So much that the import is under way when the end of the build is heard of.
    await appendFile(join(example.dir, 'busybox'), randomBytes(48_000_000))
    const shim = await bed.startShim()
    const recipe = { image: 'registry.example/crash/app:1', flakeUrl: example.url, packageName: 'docker-archive' }
    const running = bed.cri(shim.socket).pullImage(recipePull(recipe))
    await untilLogged(shim, 'build done')
    await bed.containerd.kill()
    await bed.containerd.start()
    await expect(running).resolves.toMatch(/^sha256:/)
  })

  it('may be away when an image is pulled: the pull waits until containerd is back', async () => {
    const gated = await makeGated()
    await gated.open()
    const shim = await bed.startShim()
    await bed.containerd.stop()
    const held = gated.pull(shim)
    await bed.containerd.start()
    await expect(held).resolves.toMatch(/^sha256:/)
  })
})

describe('SIGTERM', () => {
  it('lets a running pull end, accepts no new call and exits with 0', async () => {
    const gated = await makeGated()
    const shim = await bed.startShim()
    const running = gated.pull(shim)
    await untilLogged(shim, 'build started')
    const stopped = shim.daemon.stop()
    await untilLogged(shim, 'stopping')
    await expect(bed.cri(shim.socket).imageFsInfo()).rejects.toMatchObject({ code: 14 })
    await gated.open()
    await expect(running).resolves.toMatch(/^sha256:/)
    expect(await stopped).toBe(0)
  })

  it('ends a build that takes longer than shutdownTimeout, and its builder', async () => {
    const gated = await makeGated()
    const shim = await bed.startShim({ config: { shutdownTimeout: '200ms' } })
    const failed = expect(gated.pull(shim)).rejects.toMatchObject({ code: 14 })
    await gated.untilWaiting()
    expect(await shim.daemon.stop()).toBe(0)
    await failed
    await expect.poll(gated.isWaiting, PATIENT).toBe(false)
  })
})

describe('a state folder that cannot be written', () => {
  it('fails pulls of images with recipes and says why, while other calls are forwarded', async () => {
    const file = join(bed.dir, 'not-a-folder')
    await writeFile(file, '')
    const stateDir = join(file, 'state')
    const gated = await makeGated()
    const shim = await bed.startShim({ config: { stateDir } })
    await expect(gated.pull(shim)).rejects.toMatchObject({
      code: 2,
      details: expect.stringContaining(stateDir),
    })
    await expect(bed.cri(shim.socket).imageFsInfo()).resolves.toHaveLength(1)
  })
})
