import { describe, expect, it } from 'vitest'
import { type NodeEntry, nixNodeView } from '../../../controller/views/nixnode.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')
const BUILD = {
  namespace: 'team',
  key: 'key',
  state: 'Present',
  since: '2026-01-01T00:00:00Z',
  imageDigest: 'sha256:1',
}

/** Reads the entry of a node after those of others. */
function read(node: string, build: object, known: ReadonlyMap<string, NodeEntry> = new Map(), isWatched = false) {
  const metadata = { name: node, uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
  const nixNode = nixNodes.parse({ metadata, status: { builds: [{ ...BUILD, ...build }] } })
  const [entry] = nixNodeView(nixNode, { ofRecipe: () => known, isWatched: () => isWatched, now: NOW }).entries
  if (entry === undefined) throw new Error('no entry')
  return entry
}

const withOthers = (...entries: NodeEntry[]) => new Map(entries.map(entry => [entry.details.node, entry]))

describe('the entry of a node', () => {
  it('shares what is the same with that of another one', () => {
    const one = read('a', {})
    const two = read('b', { since: '2026-01-01T00:30:00Z' }, withOthers(one))
    expect([two.details, two.id, two.since]).toEqual([one.details, 'team/key', one.since + 1800])
    expect(two.details).toBe(one.details)
    expect(read('b', { imageDigest: 'sha256:2' }, withOthers(one)).details).not.toBe(one.details)
  })

  it('is the same object while nothing changes', () => {
    const before = read('a', {})
    expect(read('a', {}, withOthers(before))).toBe(before)
  })

  it('counts from when the controller learned of it, whatever the clock of its node says', () => {
    const before = read('a', { state: 'Building' })
    expect(before.at).toBe(before.since)
    const failed = (since: string) => read('a', { state: 'Failed', since }, withOthers(before), true).at * 1000
    expect([failed('1970-01-01T00:00:00Z'), failed('9999-01-01T00:00:00Z')]).toEqual([NOW, NOW])
    expect(read('a', { since: '9999-01-01T00:00:00Z' }).at * 1000).toBe(NOW)
  })

  it('has the log of an image until the node takes it back', () => {
    const logged = read('a', { state: 'Present', logTail: 'log' })
    expect(logged.details.logTail).toBe('log')
    expect(read('a', { state: 'Present' }, withOthers(logged)).details.logTail).toBeUndefined()
    expect(read('b', { state: 'Present' }, withOthers(logged)).details.logTail).toBeUndefined()
  })

  it('has the log of a failure only if few other nodes have', () => {
    const failed = { state: 'Failed', logTail: 'log' }
    const others = ['a', 'b'].map(node => read(node, failed))
    expect(read('c', failed, withOthers(...others.slice(1))).details.logTail).toBe('log')
    expect(read('c', failed, withOthers(...others)).details.logTail).toBeUndefined()
    expect(read('a', failed, withOthers(...others)).details.logTail).toBe('log')
  })
})
