import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { runDoctor } from '../doctor/run-doctor.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'

// As the proxies of stargz, nydus and SOCI do, another one passes calls of the image service on to containerd, and reads credentials of pulls.

const IMAGES = '/runtime.v1.ImageService'
const IMAGE = 'registry.example/team/hello:1'

let bed: Bed
let shim: Shim
let other: RunningProxy
/** Methods that the other proxy was asked for. */
let asked: string[]
let pulls: Buffer[]

beforeAll(async () => {
  bed = await startBed()
  other = await startOther(bed.containerdSocket)
  const containerd = { address: bed.containerdSocket, imageService: other.socket }
  shim = await bed.startShim({ config: { containerd } })
})
afterAll(async () => {
  await other?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

function startOther(upstream: string): Promise<RunningProxy> {
  asked = []
  pulls = []
  return startProxy({
    upstream,
    intercept: new Map([
      [
        `${IMAGES}/PullImage`,
        async ({ request }) => {
          pulls.push(request)
          return { kind: 'forward' }
        },
      ],
    ]),
    onCall: path => {
      asked.push(path)
      return () => {}
    },
  })
}

describe('with another image service between the shim and containerd', () => {
  test('the image service gets the forwarded calls of its service only, including the credentials of a pull', async () => {
    const cri = bed.cri(shim.socket)
    asked.length = 0
    await cri.version()
    await cri.listImages()
    const auth = { username: 'somebody', password: 'for the other proxy' }
    await expect(cri.pullImage({ image: 'registry.invalid/none:1', auth })).rejects.toMatchObject({
      details: expect.stringContaining('registry.invalid'),
    })
    expect(asked).toEqual([`${IMAGES}/ListImages`, `${IMAGES}/PullImage`])
    expect(pulls[0]?.includes('for the other proxy')).toBe(true)
  })

  test('the image of a recipe is imported past it, and seen and removed through it', async () => {
    const cri = bed.cri(shim.socket)
    const { url } = await copyExample('hello', bed.dir)
    asked.length = 0
    const imageId = await cri.pullImage(recipePull({ image: IMAGE, flakeUrl: url, packageName: 'image' }))
    expect(asked).toEqual([])
    expect(await cri.imageStatus(IMAGE)).toMatchObject({ id: imageId })
    expect((await bed.runPod({ imageId })).exitCode).toBe(0)
    await cri.removeImage(IMAGE)
    expect(await bed.cri().imageStatus(IMAGE)).toBeUndefined()
    expect(asked).toEqual([`${IMAGES}/ImageStatus`, `${IMAGES}/RemoveImage`])
  })

  test('doctor sees that it answers for the same containerd', async () => {
    expect((await runDoctor(bed, '--config', shim.configPath)).of('image service')).toMatchObject({ outcome: 'ok' })
  })

  test('calls wait for it while it restarts, and calls for containerd do not', async () => {
    const cri = bed.cri(shim.socket)
    await other.proxy.close({ graceMs: 0 })
    const waiting = cri.listImages()
    expect(await cri.version()).toMatchObject({ runtimeName: 'containerd' })
    await vi.waitFor(async () => {
      expect(await shim.daemon.logTail()).toContain(`the image service at ${other.socket} does not answer`)
    }, PATIENT)
    const back = await startProxy({ upstream: bed.containerdSocket, socket: other.socket })
    try {
      expect(await waiting).toEqual(expect.any(Array))
    } finally {
      await back[Symbol.asyncDispose]()
    }
  })
})

test('doctor reports an image service that passes calls back to the shim', async () => {
  const socket = join(bed.dir, 'circle.sock')
  const circle = await bed.startShim({
    config: { containerd: { address: bed.containerdSocket, imageService: socket } },
    wait: false,
  })
  await using back = await startProxy({ upstream: circle.socket, socket })
  expect(back.socket).toBe(socket)
  const found = (await runDoctor(bed, '--config', circle.configPath)).of('image service')
  expect(found).toMatchObject({ outcome: 'failed', wayOut: expect.stringContaining('pass calls to containerd') })
})
