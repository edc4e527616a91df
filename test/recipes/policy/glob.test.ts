import { expect, it } from 'vitest'
import { compileGlob } from '../../../recipes/policy/glob.ts'

it.each([
  ['team/app', ['team/app'], ['team/ap', 'team/apps', 'team', '']],
  ['team/*', ['team/app', 'team/.app'], ['team', 'team/', 'team/a/b', 'teams/app']],
  ['team-*', ['team-', 'team-a'], ['team', 'team-a/b']],
  ['*/app', ['team/app'], ['app', '/app', 'a/b/app']],
  ['a*b*c', ['abc', 'aXbYc', 'abcbc'], ['ab', 'acb', 'abcd']],
  ['**', ['a', 'a/b/c'], []],
  ['a/**', ['a/b', 'a/b/c', 'a/'], ['a', 'ab', 'b/a']],
  ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z', 'a/z/z'], ['a', 'a/zz', 'z']],
  ['**/z', ['z', 'a/z'], ['a/zz']],
  ['a**', ['ab', 'a'], ['a/b']],
  ['path:/srv/**', ['path:/srv/a/b'], ['path:/srv', 'path:/srv/../etc', 'path:/srv/..', 'path:/srv/./a']],
  ['a/?', ['a/b', 'a/é'], ['a/', 'a/bc', 'a//']],
  ['v[0-9].[!x]', ['v1.y'], ['v1.x', 'va.y', 'v1.']],
  ['[ab', ['[ab'], ['a']],
  ['a\\*', ['a*'], ['ab', 'a\\*']],
  ['{a,b}', ['{a,b}'], ['a']],
  ['!(a)', ['!(a)'], ['b']],
])('%s matches %j and not %j', (pattern, matching, others) => {
  const matches = compileGlob(pattern)
  expect(matching.filter(text => !matches(text))).toEqual([])
  expect(others.filter(matches)).toEqual([])
})

it('a pattern with many stars does not backtrack exponentially', () => {
  const matches = compileGlob(`${'*a'.repeat(50)}*x/${'**/*a'.repeat(20)}/x`)
  expect(matches(`${'a'.repeat(2000)}/${'a/'.repeat(500)}`)).toBe(false)
})
