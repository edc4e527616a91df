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
  isAsked: false,
  askedAt: undefined,
  ...more,
})
const many = (length: number, prefix: string, more: Partial<PreparedNode> = {}) =>
  Array.from({ length }, (_, index) => node(`${prefix}-${index}`, more))
const says = (state: 'Present' | 'Building' | 'Failed', minutes = 0) => ({
  entry: someEntry('a', { state, since: ago(minutes) }),
})
const plan = (nodes: readonly PreparedNode[], more: { readonly room?: number } = {}) =>
  planPreparing({ nodes, bornAt: BORN, room: 200, now: NOW, ...more })
const asked = { isAsked: true, askedAt: NOW - 1_500 }

describe('a selected node', () => {
  it.each([
    ['is asked', {}, ['a']],
    ['is not asked twice', asked, []],
    ['is not asked if it has the image', says('Present'), []],
    ['is not asked if it is at work for its pods', says('Building'), []],
    ['is not asked while it can do nothing', { able: false }, []],
    ['is not asked again immediately if it has lost the image', { askedAt: NOW - 3_599_000 }, []],
    ['is asked again after an hour', { askedAt: NOW - 3_600_000 }, ['a']],
    ['is asked again an hour after it has failed', says('Failed', 60), ['a']],
    ['is not asked immediately after it has failed', says('Failed', 59), []],
    ['is asked although an earlier NixBuild of the recipe has failed', says('Failed', 121), ['a']],
  ])('%s', (_name, more, ask) => {
    expect(plan([node('a', more)]).ask).toEqual(ask)
  })

  it.each([
    ['stays asked while it works', { ...asked, ...says('Building') }, []],
    ['stays asked while it cannot work', { ...asked, able: false }, []],
    ['is released when it has the image', { ...asked, ...says('Present') }, ['a']],
    ['is released when it has failed', { ...asked, ...says('Failed') }, ['a']],
    ['stays asked if it failed before', { ...asked, ...says('Failed', 1) }, []],
    ['is released when it is not selected any more', { ...asked, ...says('Building'), selected: false }, ['a']],
  ])('%s', (_name, more, release) => {
    expect(plan([node('a', more)]).release).toEqual(release)
  })
})

describe('many nodes', () => {
  it('are asked a few at first, then twice as many as have the image, and never too many', () => {
    const waiting = many(300, 'w')
    const counts = [0, 3, 10, 100].map(ready => plan([...many(ready, 'r', says('Present')), ...waiting]).ask.length)
    expect(counts).toEqual([4, 6, 20, 100])
  })

  it('leave room for others of the namespace', () => {
    expect(plan(many(10, 'w'), { room: 1 }).ask).toHaveLength(1)
    expect(plan(many(10, 'w'), { room: -1 }).ask).toEqual([])
  })

  it('wait for those that work, but not for one that does not begin', () => {
    const working = many(4, 'b', { ...asked, ...says('Building') })
    const silent = { isAsked: true, askedAt: NOW - 120_000 }
    expect(plan([...working, node('w')]).ask).toEqual([])
    expect(plan([...many(4, 's', asked), node('w')])).toMatchObject({ ask: [], recheckAt: NOW + 118_500 })
    expect(plan([...many(4, 's', silent), node('w')]).ask).toEqual(['w'])
    expect(plan([...many(4, 'd', { ...asked, able: false }), node('w')]).ask).toEqual(['w'])
  })

  it('are not asked if the image has failed on a few and no node has it', () => {
    const failed = many(4, 'a', says('Failed'))
    expect(plan([...failed.slice(1), node('b')]).ask).toEqual(['b'])
    expect(plan([...failed, node('b')]).ask).toEqual([])
    expect(plan([...many(4, 'a', { ...says('Failed'), fetchOnly: true }), node('b')]).ask).toEqual(['b'])
    expect(plan([...failed, node('b'), node('c', says('Present'))]).ask).toEqual(['b'])
  })

  it('that build are asked before those that only fetch', () => {
    const nodes = [...many(4, 'a', { fetchOnly: true }), ...many(3, 'b')]
    expect(plan(nodes).ask).toEqual(['b-0', 'b-1', 'b-2', 'a-0'])
  })
})
