import { expect, it } from 'vitest'
import type { NodeBuild } from '../../../../kube/resources/nixnode.ts'
import { type BoundedBuild, findExcessBuilds } from '../../../../shim/cluster/builds/bound-builds.ts'

interface Named extends BoundedBuild {
  readonly name: string
}

/** `b2` is a build of the namespace `b` that changed at 2, in upper case one that is at work. */
function named(name: string, length = 0, character = 'x'): Named {
  const isActive = name !== name.toLowerCase()
  const namespace = name.slice(0, 1)
  const build: NodeBuild = {
    ...{ namespace, key: name, state: isActive ? 'Building' : 'Present', pods: [] },
    since: '2026-01-01T00:00:00Z',
    ...(length > 0 && { message: character.repeat(length) }),
  }
  return { name, build, isActive, changedAt: Number(name.slice(1)) }
}

const WIDE = 1_000_000

it.each<[string, string, number, string]>([
  ['none if all fit', 'a1 a2 A3', 3, ''],
  ['the oldest result', 'a2 a1 a3', 2, 'a1'],
  ['the oldest result of the namespace that has the most', 'b1 a2 a3', 2, 'a2'],
  ['results before older work', 'A1 a2 a3 a4', 2, 'a2 a3'],
  ['every result before work', 'A1 A2 a3', 1, 'a3 A2'],
  ['the newest work when no result is left', 'A1 A3 A2', 2, 'A3'],
  ['the newest work of the namespace that has the most', 'B9 A1 A2', 2, 'A2'],
])('the builds that are left out are %s', (_name, names, count, expected) => {
  const excess = findExcessBuilds(
    names.split(' ').map(name => named(name)),
    { count, bytes: WIDE },
  )
  expect(excess.map(({ name }) => name).join(' ')).toBe(expected)
})

it('builds are also left out when their texts are too long together', () => {
  const builds = [named('a1', 1000), named('a2', 1000), named('A3', 1000)]
  expect(findExcessBuilds(builds, { count: 9, bytes: 2500 }).map(({ name }) => name)).toEqual(['a1'])
})

it('builds are left out for characters that the API server stores as six bytes each', () => {
  const builds = [named('a1', 1000, '<'), named('a2', 1000, '<')]
  expect(findExcessBuilds(builds, { count: 9, bytes: 8000 }).map(({ name }) => name)).toEqual(['a1'])
})
