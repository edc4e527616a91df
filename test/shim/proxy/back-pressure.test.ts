import { describe, expect, test, vi } from 'vitest'
import { PATIENT } from '../../patience.ts'
import { frame, readAnswer, statusOf } from './raw-client.ts'
import { answer, readAll } from './raw-peer.ts'
import { PATH, useWire } from './wire.ts'

const wire = useWire()

describe('messages', () => {
  test('of 40 MiB pass in both directions unchanged', async () => {
    const message = Buffer.alloc(40 * 1024 * 1024, 'abcdefg')
    wire.onCall = async ({ stream }) => answer(stream, await readAll(stream))
    const answered = await wire.client.call(PATH, { body: frame(message) })
    expect(answered.body.equals(frame(message))).toBe(true)
  })

  test('of a bidirectional stream go back and forth', async () => {
    wire.onCall = ({ stream }) => {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.pipe(stream)
    }
    const stream = wire.client.open(PATH)
    const answered = readAnswer(stream)
    for (const text of ['one', 'two', 'three']) {
      const back = new Promise<Buffer>(resolve => stream.once('data', resolve))
      await new Promise(resolve => stream.write(frame(Buffer.from(text)), resolve))
      expect((await back).subarray(5).toString()).toBe(text)
    }
    stream.end()
    expect(statusOf(await answered)).toBe(0)
  })
})

describe('back-pressure', () => {
  // Windows of both connections and the buffers of node's streams between them.
  const BETWEEN_BYTES = 8 * 1024 * 1024
  const CHUNK = Buffer.alloc(64 * 1024)

  test('of a caller that does not read reaches containerd', async () => {
    let sent = 0
    wire.onCall = ({ stream }) => {
      stream.respond({ ':status': 200 })
      const write = () => {
        do sent += CHUNK.length
        while (stream.write(CHUNK))
      }
      stream.on('drain', write)
      write()
    }
    const stream = wire.client.open(PATH)
    stream.pause()
    await settled(() => sent)
    expect(sent).toBeLessThan(BETWEEN_BYTES)
    const stopped = sent
    stream.on('data', () => {}).resume()
    await vi.waitUntil(() => sent > stopped + 4 * BETWEEN_BYTES, PATIENT)
  })

  test('of a server that does not read reaches the caller', async () => {
    wire.onCall = ({ stream }) => stream.pause()
    const stream = wire.client.open(PATH)
    let sent = 0
    const write = () => {
      do sent += CHUNK.length
      while (stream.write(CHUNK))
    }
    stream.on('drain', write)
    write()
    await settled(() => sent)
    expect(sent).toBeLessThan(BETWEEN_BYTES)
    const stopped = sent
    wire.peer.calls[0]?.stream
      .on('data', () => {})
      .resume()
      .resume()
    await vi.waitUntil(() => sent > stopped + 4 * BETWEEN_BYTES, PATIENT)
  })

  test('of one call does not hold up others', async () => {
    wire.onCall = ({ stream, headers }) => {
      if (headers['x-slow'] !== 'yes') answer(stream, frame(Buffer.from('quick')))
      else {
        stream.respond({ ':status': 200 })
        stream.write(Buffer.alloc(32 * 1024 * 1024))
      }
    }
    const slow = Array.from({ length: 10 }, () => wire.client.open(PATH, { 'x-slow': 'yes' }))
    for (const stream of slow) stream.pause()
    await vi.waitUntil(() => wire.peer.calls.length === slow.length, PATIENT)
    const { body } = await wire.client.call(PATH)
    expect(body.subarray(5).toString()).toBe('quick')
  })
})

/** Resolves when a count has stopped changing: there is no event for that. */
async function settled(count: () => number): Promise<void> {
  let last = -1
  await vi.waitUntil(
    () => {
      const still = count() === last && last > 0
      last = count()
      return still
    },
    { ...PATIENT, interval: 200 },
  )
}
