import { expect, it } from 'vitest'
import { findSlowInput } from './pump.ts'
import { findPatterns } from './source-patterns.ts'

it.each([/(a+)+b/, /foo.*bar/, / +$/, /a*a*b/])(
  'the search for slow patterns finds that %s takes more than linear time',
  pattern => {
    expect(findSlowInput(pattern)).toBeDefined()
  },
)

it('no regular expression of the sources takes more than linear time for repetitions of its own parts', async () => {
  const patterns = await findPatterns(['recipes', 'lib', 'kube', 'shim', 'controller'])
  expect(patterns.length).toBeGreaterThan(50)
  const slow = patterns.flatMap(({ name, pattern }) => {
    const input = findSlowInput(pattern)
    return input === undefined ? [] : [`${name} for ${input}`]
  })
  expect(slow).toEqual([])
})
