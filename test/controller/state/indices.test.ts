import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createGroupIndex, createMultiIndex } from '../../../controller/state/indices.ts'
import { createRecentWrites } from '../../../controller/state/recent-writes.ts'
import { someBuild, somePod } from '../views.ts'
import { APP, idOf, KNOWN, startBuilds, startPods } from './start.ts'

interface Written {
  readonly uid: string
  readonly resourceVersion: string
}

describe('the pods', () => {
  it('are found by the recipe that they request, for as long as they request it', () => {
    const { pods, set } = startPods(KNOWN)
    expect(set('team/a', somePod())).toEqual(['request team', 'pod team/a'])
    expect(set('team/b', somePod())).toEqual(['request team', 'pod team/b'])
    expect([...pods.podsRequesting(APP).keys()]).toEqual(['team/a', 'team/b'])
    expect(set('team/a', somePod({ status: { phase: 'Succeeded' } }))).toEqual(['request team', 'pod team/a'])
    expect(set('team/b', undefined)).toEqual(['request team', 'pod team/b'])
    expect(pods.podsRequesting(APP).size).toBe(0)
  })

  it('cause no build work if nothing about their requests changes', () => {
    const { set } = startPods(KNOWN)
    set('team/a', somePod())
    const condition = { type: 'enbi.hrzn.ee/ImageBuilt', status: 'False', reason: 'Pending' }
    expect(set('team/a', somePod({ status: { conditions: [condition] } }))).toEqual(['pod team/a'])
  })

  it('that have their image do not wait any more', () => {
    const { pods, set } = startPods(KNOWN)
    set('team/a', somePod())
    const containerStatuses = [{ name: 'app', imageID: 'sha256:1' }]
    expect(set('team/a', somePod({ status: { containerStatuses } }))).toEqual(['request team', 'pod team/a'])
    expect([...pods.podsRequesting(APP).values()]).toMatchObject([{ started: true }])
  })

  it('are read again when their node becomes known', () => {
    const systems = new Map<string, string>()
    const { pods, set, due } = startPods(systems)
    expect(set('team/a', somePod())).toEqual(['pod team/a'])
    expect(pods.requestsOf('team/a').requests).toEqual([])
    systems.set('node-1', 'x86_64-linux')
    due.length = 0
    pods.nodeChanged('node-1', { system: true })
    expect(due).toEqual(['request team', 'pod team/a'])
    expect([...pods.podsRequesting(APP).keys()]).toEqual(['team/a'])
  })

  it('share the recipe', () => {
    const { pods, set } = startPods(KNOWN)
    set('team/a', somePod())
    set('team/b', somePod())
    const [a, b] = ['team/a', 'team/b'].map(key => pods.requestsOf(key).requests[0]?.recipe)
    expect(a).toBe(b)
  })

  it('stay as written until the watch reports them', () => {
    const { pods, set } = startPods(KNOWN)
    set('team/a', somePod())
    const written = somePod({ status: { phase: 'Running' } })
    pods.recordWrite('team/a', written)
    expect(pods.get('team/a')).toBe(written)
    const reported = somePod({ status: { phase: 'Pending' } })
    set('team/a', reported)
    expect(pods.get('team/a')).toBe(reported)
  })

  it('stay as written if the watch reports an older version', () => {
    const { pods, set } = startPods(KNOWN)
    const version = (resourceVersion: string) => somePod({ metadata: { resourceVersion } })
    const written = version('10')
    pods.recordWrite('team/a', written)
    set('team/a', version('9'))
    expect(pods.get('team/a')).toBe(written)
    const reported = version('11')
    set('team/a', reported)
    expect(pods.get('team/a')).toBe(reported)
  })
})

describe('the builds', () => {
  const done = someBuild({ status: { status: 'Succeeded' } })

  it('are found by their recipe, and by whether they are finished', () => {
    const { builds, set } = startBuilds()
    expect(set('team/app-1', someBuild())).toEqual([APP])
    expect([builds.ofRecipe(APP).length, builds.mayNeedNode().length, builds.finishedIn('team').length]).toEqual([
      1, 1, 0,
    ])
    expect(set('team/app-1', done)).toEqual([APP])
    expect([builds.ofRecipe(APP).length, builds.mayNeedNode().length, builds.finishedIn('team').length]).toEqual([
      1, 0, 1,
    ])
    expect(set('team/app-1', undefined)).toEqual([APP])
    expect([builds.ofRecipe(APP).length, builds.mayNeedNode().length, builds.finishedIn('team').length]).toEqual([
      0, 0, 0,
    ])
  })

  it('are found as soon as they are written', () => {
    const { builds, set } = startBuilds()
    builds.recordWrite(someBuild())
    expect(builds.ofRecipe(APP)).toHaveLength(1)
    set('team/app-1', undefined)
    expect(builds.ofRecipe(APP)).toEqual([])
  })

  it('stay as written if the watch reports an older version', () => {
    const { builds, set } = startBuilds()
    const version = (resourceVersion: string, uid = 'uid-1') => someBuild({ metadata: { resourceVersion, uid } })
    const get = () => builds.get('team/app-1')?.resourceVersion
    builds.recordWrite(version('10'))
    set('team/app-1', version('9'))
    expect(get()).toBe('10')
    set('team/app-1', version('10'))
    set('team/app-1', version('11'))
    expect(get()).toBe('11')
    builds.recordWrite(version('12'))
    set('team/app-1', version('5', 'uid-2'))
    expect(get()).toBe('5')
  })

  it('report both recipes if a new object of the same name has another one', () => {
    const { set } = startBuilds()
    const other = someBuild({ spec: { packageName: 'other' } })
    set('team/app-1', someBuild())
    expect(set('team/app-1', other).toSorted()).toEqual([APP, idOf(other)].toSorted())
  })
})

describe('a recent write', () => {
  it('is forgotten and reported if the watch does not confirm it', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const unconfirmed: string[] = []
    const recent = createRecentWrites<Written>(key => void unconfirmed.push(key))
    const version = (resourceVersion: string) => ({ uid: 'u', resourceVersion })
    recent.put('a', version('10'))
    recent.put('b', version('10'))
    vi.advanceTimersByTime(9_999)
    recent.observe('a', version('9'))
    recent.observe('b', version('10'))
    expect([recent.get('a'), recent.get('b'), unconfirmed]).toEqual([version('10'), undefined, []])
    vi.advanceTimersByTime(1)
    expect([recent.get('a'), unconfirmed]).toEqual([undefined, ['a']])
  })
})

describe('keys in groups', () => {
  it('are in one group at a time', () => {
    const index = createGroupIndex()
    index.put('a', 'one')
    index.put('b', 'one')
    index.put('a', 'two')
    expect([[...index.keysIn('one')], [...index.keysIn('two')], index.groupOf('a')]).toEqual([['b'], ['a'], 'two'])
    index.put('a', undefined)
    expect([[...index.keysIn('two')], index.groupOf('a')]).toEqual([[], undefined])
  })

  it('are in any number of groups', () => {
    const index = createMultiIndex()
    index.put('a', ['one', 'two'])
    index.put('b', ['one'])
    index.put('a', ['two', 'three'])
    expect(['one', 'two', 'three'].map(group => [...index.keysIn(group)])).toEqual([['b'], ['a'], ['a']])
    index.put('a', [])
    expect(['two', 'three'].map(group => [...index.keysIn(group)])).toEqual([[], []])
  })
})
