import { expect, it } from 'vitest'
import { maskSecrets } from '../../../lib/text/mask-secrets.ts'

it.each([
  ['clone https://me:secret@git.example/a and ssh://me@b', 'clone https://…@git.example/a and ssh://…@b'],
  ['clone ssh://git@github.com/team/app', 'clone ssh://git@github.com/team/app'],
  ['> Authorization: Bearer abc.def', '> Authorization: Bearer …'],
  ['{"authorization": "Bearer abc"}', '{"authorization": "Bearer …"}'],
  ['PRIVATE-TOKEN: abc', 'PRIVATE-TOKEN: …'],
  ['GET /a?x=1&X-Amz-Signature=abc&y=2', 'GET /a?x=1&X-Amz-Signature=…&y=2'],
  ['extra-access-tokens = github.com=abc', 'extra-access-tokens = …'],
  ['a & b ? c : d://e', 'a & b ? c : d://e'],
])('hides secrets in "%s"', (line, masked) => {
  expect(maskSecrets(line)).toBe(masked)
})

it('takes linear time for hostile lines', () => {
  const hostile = ['://', '://a', '?token=', 'access-tokens', 'authorization: bearer '].map(part =>
    part.repeat(200_000),
  )
  for (const line of hostile) expect(maskSecrets(line).length).toBeGreaterThan(0)
})
