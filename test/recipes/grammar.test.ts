import { expect, test } from 'vitest'
import { quoteForError } from '../../recipes/grammar.ts'

test.each([
  ['github:o/r main', '"github:o/r main"'],
  ['a\nb', '"a\\nb"'],
  ['git+https://h.example/a b?token=x', '"git+https://h.example/a b"'],
  ['git+https://user:to/ken@host/x', '"git+https://…@host/x"'],
  ['git+https://user:to?ken@host/x', '"git+https://…"'],
  ['git+https://user:p@ss@host/x?a=b', '"git+https://…@host/x"'],
  ['ghp_secret/x@host', '"…@host"'],
  ['ghp_secret://x@host', '"…@host"'],
  ['x'.repeat(200_000), `"${'x'.repeat(100)}…"`],
  [`git+https://${'x'.repeat(200_000)}@host/x`, '"git+https://…@host/x"'],
])('text %# is quoted without secrets and cut to a bounded length', (text, shown) => {
  expect(quoteForError(text)).toBe(shown)
})
