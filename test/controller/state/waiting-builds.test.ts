import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createAssignments } from '../../../controller/state/assignments.ts'
import { createWaitingBuilds } from '../../../controller/state/waiting-builds.ts'
import { someBuild } from '../views.ts'
import { startBuilds } from './start.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

function begin(...names: readonly string[]) {
  const stop = new AbortController()
  const { builds, set } = startBuilds()
  for (const name of names) set(`team/${name}`, someBuild({ metadata: { name } }))
  const assignments = createAssignments({ onNode: () => {}, onRoom: () => {} })
  const due: string[] = []
  const waiting = createWaitingBuilds({ builds, assignments, onBuild: key => void due.push(key), signal: stop.signal })
  return { waiting, assignments, due, stop, set }
}

it('builds that no node has are due once a second at most, and after the last change', () => {
  const { waiting, due } = begin('a', 'b')
  for (let number = 0; number < 100; number += 1) waiting.nodeChanged(`node-${number}`)
  expect(due).toEqual(['team/a', 'team/b'])
  vi.advanceTimersByTime(1000)
  expect(due).toEqual(['team/a', 'team/b', 'team/a', 'team/b'])
  vi.advanceTimersByTime(60_000)
  expect(due).toHaveLength(4)
})

it('builds of a node are due at each of its changes, and at none of others', () => {
  const { waiting, assignments, due } = begin('a')
  assignments.assign('team/a', { node: 'node-1', recipe: RECIPE })
  for (const node of ['node-1', 'node-2', 'node-1']) waiting.nodeChanged(node)
  vi.advanceTimersByTime(60_000)
  expect(due).toEqual(['team/a', 'team/a'])
})

it('builds that select nodes are due, whatever has them', () => {
  const { waiting, assignments, due, set } = begin()
  set('team/a', someBuild({ metadata: { name: 'a' }, spec: { nodes: {} }, status: { status: 'Succeeded' } }))
  assignments.assign('team/a', { node: 'node-1', recipe: RECIPE })
  waiting.nodeChanged('node-2')
  expect(due).toEqual(['team/a'])
})

it('no build is due after the end', () => {
  const { waiting, due, stop } = begin('a')
  for (const node of ['node-1', 'node-2']) waiting.nodeChanged(node)
  stop.abort()
  vi.advanceTimersByTime(60_000)
  expect(due).toEqual(['team/a'])
})
