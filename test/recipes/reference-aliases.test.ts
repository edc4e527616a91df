import { expect, test } from 'vitest'
import { normalizeReference } from '../../recipes/reference.ts'
import { referenceAliases } from '../../recipes/reference-aliases.ts'

test.each([
  ['registry.example/team/app:1', ['registry.example/team/app:1']],
  ['registry.example:5000/app:latest', ['registry.example:5000/app:latest', 'registry.example:5000/app']],
  ['localhost/app:1', ['localhost/app:1']],
  ['docker.io/team/app:1', ['docker.io/team/app:1', 'team/app:1']],
  ['docker.io/team/app:latest', ['docker.io/team/app:latest', 'team/app:latest', 'docker.io/team/app', 'team/app']],
  ['docker.io/library/app:1', ['docker.io/library/app:1', 'docker.io/app:1', 'library/app:1', 'app:1']],
  [
    'docker.io/library/app:latest',
    [
      ...['docker.io/library/app:latest', 'docker.io/app:latest', 'library/app:latest', 'app:latest'],
      ...['docker.io/library/app', 'docker.io/app', 'library/app', 'app'],
    ],
  ],
  // Without docker.io, these would name another host or folder.
  ['docker.io/a.b/app:1', ['docker.io/a.b/app:1']],
  ['docker.io/localhost/app:1', ['docker.io/localhost/app:1']],
  ['docker.io/library/team/app:1', ['docker.io/library/team/app:1', 'library/team/app:1']],
])('%s can be written as %j', (reference, aliases) => {
  expect(referenceAliases(reference)).toEqual(aliases)
  expect(aliases.map(normalizeReference)).toEqual(aliases.map(() => reference))
})

test('aliases keep the digest', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  expect(referenceAliases(`docker.io/library/app@${digest}`)).toEqual(
    ['docker.io/library/app', 'docker.io/app', 'library/app', 'app'].map(name => `${name}@${digest}`),
  )
})
