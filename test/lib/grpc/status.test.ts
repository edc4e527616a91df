import { expect, test } from 'vitest'
import { decodeStatusText, encodeStatusText } from '../../../lib/grpc/status.ts'

test.each([
  ['plain text', 'no such image: a/b:1', 'no such image: a/b:1'],
  ['a percent sign', '50%', '50%25'],
  ['control characters', 'a\nb\tc\x7f', 'a%0Ab%09c%7F'],
  ['UTF-8', 'é€😀', '%C3%A9%E2%82%AC%F0%9F%98%80'],
  ['a lone surrogate', 'a\ud800b', 'a%EF%BF%BDb'],
  ['nothing', '', ''],
])('encodeStatusText encodes %s, and decodeStatusText decodes it', (_what, message, encoded) => {
  expect(encodeStatusText(message)).toBe(encoded)
  expect(decodeStatusText(encoded)).toBe(message.toWellFormed())
})

test.each(['x', 'é', '%', '😀'])('encodeStatusText cuts a long message of %s between characters', character => {
  const encoded = encodeStatusText(character.repeat(100_000))
  expect(encoded.length).toBeLessThan(8000)
  expect(encoded.length).toBeGreaterThan(7500)
  expect(decodeStatusText(encoded).replaceAll(character, '')).toBe('...')
})

test('decodeStatusText returns an invalid encoding unchanged', () => {
  expect(decodeStatusText('100% %C3')).toBe('100% %C3')
})
