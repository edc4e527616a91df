import { expect, it } from 'vitest'
import { readFrames } from '../../../lib/grpc/frames.ts'

const frame = (message: Buffer) => {
  const header = Buffer.alloc(5)
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

async function* inChunks(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

it.each([1, 2, 4, 5, 6, 7, 100, 10_000])('readFrames reads whole messages from chunks of %d bytes', async size => {
  const messages = [0, 1, 5, 300, 2000].map(length => Buffer.alloc(length, length))
  const read: Buffer[] = []
  for await (const message of readFrames('a/b', inChunks(Buffer.concat(messages.map(frame)), size))) read.push(message)
  expect(read).toEqual(messages)
})

it('readFrames rejects a message that is cut short', async () => {
  const cut = frame(Buffer.alloc(50)).subarray(0, 40)
  await expect(readFrames('a/b', inChunks(cut, 7)).next()).rejects.toThrow(/cut short/)
})
