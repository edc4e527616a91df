import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { constants } from 'node:http2'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { connectRaw, frame, type RawAnswer, type RawClient, readAnswer, statusOf } from './raw-client.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'

const IMAGES = '/runtime.v1.ImageService'
const CONTENT = '/containerd.services.content.v1.Content'
const NAMESPACE = { 'containerd-namespace': 'k8s.io' }

let bed: Bed
let proxy: RunningProxy
let direct: RawClient
let through: RawClient

beforeAll(async () => {
  bed = await startBed({ without: ['nix'] })
  proxy = await startProxy({ upstream: bed.containerdSocket })
  direct = await connectRaw(bed.containerdSocket)
  through = await connectRaw(proxy.socket)
})

afterAll(async () => {
  direct?.[Symbol.dispose]()
  through?.[Symbol.dispose]()
  await proxy?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

describe('an answer of containerd is the same byte for byte through the proxy', () => {
  test.each<[string, string, Buffer]>([
    ['an image that is absent', `${IMAGES}/ImageStatus`, imageSpec('registry.example/none:1')],
    ['an error from deep inside', `${IMAGES}/PullImage`, imageSpec('registry.invalid/none:1')],
    ['an error of the request', `${IMAGES}/PullImage`, imageSpec('NOT A REFERENCE')],
    ['a list', `${IMAGES}/ListImages`, Buffer.alloc(0)],
    ['the version', '/runtime.v1.RuntimeService/Version', Buffer.alloc(0)],
    ['a service beside CRI', '/grpc.health.v1.Health/Check', Buffer.alloc(0)],
    ['an unknown method', `${IMAGES}/StreamImages`, Buffer.alloc(0)],
    ['an unknown service', '/example.v9.Nothing/At/All', Buffer.alloc(0)],
    ['a path that is not a method', '/nothing', Buffer.alloc(0)],
    ['a message that is not protobuf', `${IMAGES}/ImageStatus`, Buffer.from([0xff, 0xff, 0xff])],
  ])('for %s', async (_what, path, message) => {
    const body = frame(message)
    const expected = await direct.call(path, { body })
    expect(withoutVolatile(await through.call(path, { body }))).toEqual(withoutVolatile(expected))
  })

  test.each<[string, Record<string, string>]>([
    ['that asks for gzip', { 'grpc-accept-encoding': 'gzip,identity' }],
    ['with an encoding that containerd lacks', { 'grpc-encoding': 'zstd' }],
    ['with a malformed deadline', { 'grpc-timeout': 'soon' }],
    ['that is not gRPC', { 'content-type': 'text/plain' }],
    ['with another authority', { ':authority': '%2Frun%2Fcontainerd.sock' }],
    ['by GET', { ':method': 'GET' }],
  ])('for a call %s', async (_what, headers) => {
    const expected = await direct.call(`${IMAGES}/ListImages`, { headers })
    expect(await through.call(`${IMAGES}/ListImages`, { headers })).toEqual(expected)
  })

  test('for a request of 16 MiB, and for a larger one, which containerd refuses', async () => {
    for (const bytes of [16 * 1024 * 1024, 16 * 1024 * 1024 + 1]) {
      const body = frame(unknownField(bytes))
      const expected = await direct.call(`${IMAGES}/ListImages`, { body })
      const answer = await through.call(`${IMAGES}/ListImages`, { body })
      expect([statusOf(answer), answer.trailers, answer.headers]).toEqual([
        statusOf(expected),
        expected.trailers,
        expected.headers,
      ])
    }
  })
})

test('a server stream is forwarded item by item', async () => {
  const stream = through.open('/grpc.health.v1.Health/Watch')
  stream.end(frame(Buffer.alloc(0)))
  const first = await new Promise<Buffer>(resolve => stream.once('data', resolve))
  expect(first).toEqual(frame(Buffer.from([0x08, 0x01])))
  stream.close()
})

test('a bidirectional stream is forwarded while it is open: content is written and read back', async () => {
  const data = Buffer.from('written through the proxy')
  const write = through.open(`${CONTENT}/Write`, NAMESPACE)
  const answered = readAnswer(write)
  const status = new Promise(resolve => write.once('data', resolve))
  write.write(frame(Buffer.concat([Buffer.from([0x08, 0]), lengthDelimited(2, Buffer.from('proxy-test'))])))
  await status
  const commit = [Buffer.from([0x08, 2]), lengthDelimited(2, Buffer.from('proxy-test')), lengthDelimited(6, data)]
  write.end(frame(Buffer.concat(commit)))
  expect(statusOf(await answered)).toBe(0)

  const list = { headers: NAMESPACE, body: frame(Buffer.alloc(0)) }
  const expected = await direct.call(`${CONTENT}/List`, list)
  expect(expected.body.length).toBeGreaterThan(0)
  expect(withoutVolatile(await through.call(`${CONTENT}/List`, list))).toEqual(withoutVolatile(expected))
})

test("containerd's own client writes and reads 20 MB through the proxy", async () => {
  const data = randomBytes(20_000_000)
  const digest = `sha256:${createHash('sha256').update(data).digest('hex')}`
  await writeFile(join(bed.dir, 'data'), data)
  const ctr = `ctr --address ${proxy.socket} --namespace k8s.io content`
  // Nothing holds the blob: containerd may collect it in between.
  const once = `${ctr} ingest ctr-test <data && ${ctr} get ${digest} >back`
  await bed.run('sh', ['-c', `${once} || ${once} || ${once}`])
  expect((await readFile(join(bed.dir, 'back'))).equals(data)).toBe(true)
})

test('many concurrent calls on one connection are all answered', async () => {
  const expected = await direct.call(`${IMAGES}/ListImages`)
  const answers = await Promise.all(Array.from({ length: 500 }, () => through.call(`${IMAGES}/ListImages`)))
  expect(new Set(answers.map(({ body }) => body.toString('hex')))).toEqual(new Set([expected.body.toString('hex')]))
})

test('thousands of cancelled calls do not disturb the other calls of their connection', async () => {
  const watch = through.open('/grpc.health.v1.Health/Watch')
  watch.end(frame(Buffer.alloc(0)))
  await once(watch, 'data')
  for (let sent = 0; sent < 3000; sent += 100) {
    const calls = Array.from({ length: 100 }, () => through.open(`${IMAGES}/ListImages`))
    for (const call of calls) call.close(constants.NGHTTP2_CANCEL)
    await Promise.all(calls.map(call => call.closed || once(call, 'close')))
  }
  expect(statusOf(await through.call(`${IMAGES}/ListImages`))).toBe(0)
  expect(watch.closed).toBe(false)
  watch.close()
})

/** Addresses of a look-up that failed may come in any order. */
function withoutVolatile(answer: RawAnswer): object {
  return { ...answer, body: answer.body.toString('hex') }
}

/** ImageStatusRequest and PullImageRequest alike: field 1 is the ImageSpec, whose field 1 is the name. */
function imageSpec(name: string): Buffer {
  return lengthDelimited(1, lengthDelimited(1, Buffer.from(name)))
}

/** A message of exactly so many bytes that no schema knows. */
function unknownField(bytes: number): Buffer {
  const header = 2 + varint(bytes).length
  return Buffer.concat([varint((1000 << 3) | 2), varint(bytes - header), Buffer.alloc(bytes - header)])
}

function lengthDelimited(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest])
    bytes.push((rest & 0x7f) | 0x80)
  }
}
