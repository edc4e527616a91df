import net from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { IMAGE_SERVICE } from '../../shim/wire/cri.ts'
import { PULLS } from '../../shim/wire/pulls.ts'
import { SHIM_STATUS } from '../../shim/wire/status.ts'
import { type Bed, startBed } from '../node/bed.ts'
import type { CriClient } from '../node/cri.ts'
import { recipeAnnotations } from '../node/recipe-pull.ts'
import type { Shim } from '../node/shim.ts'
import { connectRaw, frame, type RawClient, statusOf } from '../shim/proxy/raw-client.ts'
import { made } from './runs.ts'

let bed: Bed
let shim: Shim
let kubelet: CriClient
beforeAll(async () => {
  bed = await startBed({ without: ['nix'] })
  shim = await bed.startShim({ config: { policy: [] } })
  kubelet = bed.cri(shim.socket)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Expects the daemon to be alive and to serve another caller. */
async function expectServed(): Promise<void> {
  expect(shim.daemon.pid).toBeDefined()
  await kubelet.imageFsInfo()
}

const RECIPE = { image: 'registry.example/fuzz/app:1', flakeUrl: 'github:team/app', packageName: 'image' }
const PULL = encodePull(RECIPE.image)

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map(array => Buffer.from(array))
const message = fc.oneof(
  bytes(200),
  fc.constant(PULL),
  fc
    .tuple(fc.nat(PULL.length), fc.nat(8), bytes(8))
    .map(([at, length, piece]) => Buffer.concat([PULL.subarray(0, at), piece, PULL.subarray(at + length)])),
)
const framed = fc.oneof(
  message.map(one => frame(one)),
  fc.tuple(message, fc.nat(255)).map(([one, flag]) => frame(one, flag)),
  fc.tuple(message, fc.nat(20)).map(([one, length]) => frame(one).subarray(0, length)),
  fc.array(message, { maxLength: 3 }).map(all => Buffer.concat(all.map(one => frame(one)))),
  // A wrong length.
  fc.tuple(message, fc.nat(2 ** 32 - 1)).map(([one, length]) => {
    const whole = frame(one)
    whole.writeUInt32BE(length, 1)
    return whole
  }),
  bytes(50),
)
const path = fc.oneof(
  fc.constantFrom(
    IMAGE_SERVICE.PullImage.path,
    IMAGE_SERVICE.ImageStatus.path,
    IMAGE_SERVICE.RemoveImage.path,
    PULLS.Watch.path,
    SHIM_STATUS.Watch.path,
    '/runtime.v1.RuntimeService/Version',
    '/a/b',
    '/',
  ),
  fc.string({ unit: fc.constantFrom('/', 'a', '.', '%', '?', '*'), maxLength: 20 }).map(text => `/${text}`),
)
const headers = fc.oneof(
  fc.constant({}),
  fc.record(
    {
      'grpc-encoding': fc.constantFrom('gzip', 'deflate', 'identity', 'zstd', ''),
      'grpc-timeout': fc.constantFrom('1n', '0S', '10m', '99999999999H', '-1S', 'S', 'x'),
      'content-type': fc.constantFrom('application/grpc', 'application/grpc+json', 'text/html', ''),
      'x-text': fc.string({ unit: fc.constantFrom('a', ' ', '%', 'é', ','), maxLength: 30 }),
      te: fc.constantFrom('trailers', 'x'),
    },
    { requiredKeys: [] },
  ),
)

/** A call that has not ended after this time is cancelled. */
const CALL_LIMIT_MS = 200

async function call(
  client: RawClient,
  target: string,
  { headers, body }: { headers: object; body: Buffer },
): Promise<void> {
  let stream: ReturnType<RawClient['open']>
  try {
    stream = client.open(target, { ...headers })
  } catch {
    // Node refuses to send such a header.
    return
  }
  // The call may also end with an error.
  const closed = new Promise(resolve => stream.on('close', resolve))
  const limit = setTimeout(() => stream.close(), CALL_LIMIT_MS)
  stream.on('response', () => stream.resume())
  stream.end(body)
  await closed
  clearTimeout(limit)
}

it('the daemon survives arbitrary calls and frames, and keeps serving other callers', async () => {
  const client = await connectRaw(shim.socket)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ path, headers, body: framed }), { minLength: 10, maxLength: 30 }),
      async calls => {
        await Promise.all(calls.map(({ path: target, ...rest }) => call(client, target, rest)))
        await expectServed()
      },
    ),
    made(10),
  )
  client[Symbol.dispose]()
})

it('the daemon survives connections that begin with arbitrary bytes, and keeps serving other callers', async () => {
  const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  const http2Frame = fc.tuple(bytes(60), fc.nat(12), fc.nat(255), fc.nat(5)).map(([payload, type, flags, stream]) => {
    const header = Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream])
    return Buffer.concat([header, payload])
  })
  const connection = fc
    .tuple(fc.boolean(), fc.array(fc.oneof(http2Frame, bytes(40)), { maxLength: 8 }))
    .map(([hasPreface, frames]) => Buffer.concat(hasPreface ? [PREFACE, ...frames] : frames))
  await fc.assert(
    fc.asyncProperty(fc.array(connection, { minLength: 5, maxLength: 20 }), async connections => {
      await Promise.all(
        connections.map(async sent => {
          const socket = net.connect(shim.socket)
          socket.on('error', () => {})
          const closed = new Promise(resolve => socket.on('close', resolve))
          socket.resume().end(sent)
          await closed
        }),
      )
      await expectServed()
    }),
    made(20),
  )
})

it('an image reference that is hard to parse does not delay the daemon', async () => {
  const client = await connectRaw(shim.socket)
  for (const piece of ['a', 'a.', 'a_', 'a-', 'a/', 'a:', 'a@']) {
    const image = `${piece.repeat(500 / piece.length)}!`
    const body = frame(encodePull(image))
    expect(statusOf(await client.call(IMAGE_SERVICE.PullImage.path, { body }))).toBe(2)
    await expectServed()
  }
  client[Symbol.dispose]()
})

function encodePull(image: string): Buffer {
  const annotations = recipeAnnotations({ ...RECIPE, image })
  return IMAGE_SERVICE.PullImage.requestSerialize({
    image: { image, annotations },
    sandboxConfig: { metadata: { namespace: 'fuzz' }, annotations },
  })
}
