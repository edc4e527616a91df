import { expect, test } from 'vitest'
import { decodeMessage, encodeMessage } from '../../../lib/grpc/status.ts'

test.each([
  ['plain text stays', 'no such image: a/b:1', 'no such image: a/b:1'],
  ['a percent sign', '50%', '50%25'],
  ['control characters', 'a\nb\tc\x7f', 'a%0Ab%09c%7F'],
  ['UTF-8', 'é€😀', '%C3%A9%E2%82%AC%F0%9F%98%80'],
  ['a lone surrogate', 'a\ud800b', 'a%EF%BF%BDb'],
  ['nothing', '', ''],
])('a message is percent-encoded: %s', (_what, message, encoded) => {
  expect(encodeMessage(message)).toBe(encoded)
  expect(decodeMessage(encoded)).toBe(message.toWellFormed())
})

test.each(['x', 'é', '%', '😀'])('a long message of %s is cut between characters', character => {
  const encoded = encodeMessage(character.repeat(100_000))
  expect(encoded.length).toBeLessThan(8000)
  expect(encoded.length).toBeGreaterThan(7500)
  expect(decodeMessage(encoded).replaceAll(character, '')).toBe('...')
})

test('a wrongly encoded message is shown unchanged', () => {
  expect(decodeMessage('100% %C3')).toBe('100% %C3')
})
