import { describe, expect, it } from 'vitest'
import { type PreparedNode, planPreparing } from '../../../controller/prepare/plan-preparing.ts'
import { someEntry } from '../views.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const BORN = NOW - 7_200_000
const ago = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString()

const node = (name: string, more: Partial<PreparedNode> = {}): PreparedNode => ({
  name,
  selected: true,
  able: true,
  fetchOnly: false,
  entry: undefined,
  isTold: false,
  toldAt: undefined,
  ...more,
})
const many = (length: number, prefix: string, more: Partial<PreparedNode> = {}) =>
  Array.from({ length }, (_, index) => node(`${prefix}-${index}`, more))
const says = (state: 'Present' | 'Building' | 'Failed', minutes = 0) => ({
  entry: someEntry('a', { state, since: ago(minutes) }),
})
const plan = (nodes: readonly PreparedNode[], more: { readonly room?: number } = {}) =>
  planPreparing({ nodes, bornAt: BORN, room: 200, now: NOW, ...more })
const told = { isTold: true, toldAt: NOW - 1_000 }

describe('a selected node', () => {
  it.each([
    ['is told', {}, ['a']],
    ['is not told twice', told, []],
    ['is not told if it has the image', says('Present'), []],
    ['is not told if it is at work for its pods', says('Building'), []],
    ['is not told while it can do nothing', { able: false }, []],
    ['is not told again at once if it has lost the image', { toldAt: NOW - 3_599_000 }, []],
    ['is told again after an hour', { toldAt: NOW - 3_600_000 }, ['a']],
    ['is told again an hour after it has failed', says('Failed', 60), ['a']],
    ['is not told at once after it has failed', says('Failed', 59), []],
    ['is told although an earlier NixBuild of the recipe has failed', says('Failed', 121), ['a']],
  ])('%s', (_name, more, tell) => {
    expect(plan([node('a', more)]).tell).toEqual(tell)
  })

  it.each([
    ['stays told while it works', { ...told, ...says('Building') }, []],
    ['stays told while it cannot work', { ...told, able: false }, []],
    ['is released when it has the image', { ...told, ...says('Present') }, ['a']],
    ['is released when it has failed', { ...told, ...says('Failed') }, ['a']],
    ['stays told if it failed before', { ...told, ...says('Failed', 1) }, []],
    ['is released when it is not selected any more', { ...told, ...says('Building'), selected: false }, ['a']],
  ])('%s', (_name, more, release) => {
    expect(plan([node('a', more)]).release).toEqual(release)
  })
})

describe('many nodes', () => {
  it('are told a few at first, then twice as many as have the image, and never too many', () => {
    const waiting = many(300, 'w')
    const counts = [0, 3, 10, 100].map(ready => plan([...many(ready, 'r', says('Present')), ...waiting]).tell.length)
    expect(counts).toEqual([4, 6, 20, 100])
  })

  it('leave room for others of the namespace', () => {
    expect(plan(many(10, 'w'), { room: 1 }).tell).toHaveLength(1)
    expect(plan(many(10, 'w'), { room: -1 }).tell).toEqual([])
  })

  it('wait for those that work, but not for one that does not begin', () => {
    const working = many(4, 'b', { ...told, ...says('Building') })
    const silent = { isTold: true, toldAt: NOW - 120_000 }
    expect(plan([...working, node('w')]).tell).toEqual([])
    expect(plan([...many(4, 's', told), node('w')])).toMatchObject({ tell: [], recheckAt: NOW + 119_000 })
    expect(plan([...many(4, 's', silent), node('w')]).tell).toEqual(['w'])
    expect(plan([...many(4, 'd', { ...told, able: false }), node('w')]).tell).toEqual(['w'])
  })

  it('are not told if the image has failed and no node has it', () => {
    expect(plan([node('a', says('Failed')), node('b')]).tell).toEqual([])
    expect(plan([node('a', says('Failed')), node('b'), node('c', says('Present'))]).tell).toEqual(['b'])
  })

  it('that build are told before those that only fetch', () => {
    const nodes = [...many(4, 'a', { fetchOnly: true }), ...many(3, 'b')]
    expect(plan(nodes).tell).toEqual(['b-0', 'b-1', 'b-2', 'a-0'])
  })
})
