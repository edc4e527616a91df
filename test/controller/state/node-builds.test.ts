import { describe, expect, it } from 'vitest'
import { createAssignments } from '../../../controller/state/assignments.ts'
import { createImageUse } from '../../../controller/state/image-use.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import { someEntry, somePod } from '../views.ts'

describe('what the nodes say', () => {
  it('is found by recipe and by node, and reports only what has changed', () => {
    const builds = createNodeBuilds()
    const building = someEntry('a', { state: 'Building' })
    const other = someEntry('a', { state: 'Present', key: 'other' })
    expect(builds.put('a', [building, other])).toEqual(['team/key', 'team/other'])
    expect(builds.put('a', [someEntry('a', { state: 'Building' }), other])).toEqual([])
    expect([builds.entry('team/key', 'a')?.state, builds.activeOn('a'), builds.active]).toEqual(['Building', 1, 1])
    builds.put('b', [someEntry('b', { state: 'Queued' })])
    expect([[...builds.ofRecipe('team/key').keys()], builds.active]).toEqual([['a', 'b'], 2])
    expect(builds.put('a', [someEntry('a', { state: 'Present' })]).toSorted()).toEqual(['team/key', 'team/other'])
    expect([builds.activeOn('a'), builds.active, builds.ofRecipe('team/other').size]).toEqual([0, 1, 0])
  })

  it('is forgotten with its node', () => {
    const builds = createNodeBuilds()
    builds.put('a', [])
    expect(builds.has('a')).toBe(true)
    builds.put('a', [someEntry('a', { state: 'Building' })])
    expect(builds.put('a', undefined)).toEqual(['team/key'])
    expect([builds.has('a'), builds.active, builds.onNode('a'), builds.ofRecipe('team/key').size]).toEqual([
      false,
      0,
      [],
      0,
    ])
  })
})

describe('assignments', () => {
  const recipe = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
  function start() {
    const changes: string[] = []
    const assignments = createAssignments({
      onNode: node => void changes.push(node),
      onRoom: namespace => void changes.push(`room in ${namespace}`),
    })
    return { assignments, changes }
  }

  it('are counted by namespace, and tell the nodes that they concern', () => {
    const { assignments, changes } = start()
    assignments.assign('team/a', { node: 'n1', recipe })
    assignments.assign('team/a', { node: 'n2', recipe })
    assignments.assign('team/b', { node: 'n2', recipe })
    expect([assignments.nodeOf('team/a'), assignments.countIn('team'), [...assignments.onNode('n2')]]).toEqual([
      'n2',
      2,
      ['team/a', 'team/b'],
    ])
    assignments.revoke('team/a')
    assignments.revoke('team/none')
    expect([assignments.countIn('team'), assignments.recipeOf('team/a')]).toEqual([1, undefined])
    expect(changes).toEqual(['n1', 'n1', 'n2', 'n2', 'n2', 'room in team'])
  })

  it('are taken from a NixNode once, when the controller first sees it', () => {
    const { assignments } = start()
    assignments.restore('n1', [{ key: 'team/a', recipe }])
    assignments.restore('n2', [{ key: 'team/a', recipe }])
    assignments.revoke('team/a')
    // The watch is behind.
    assignments.restore('n1', [{ key: 'team/a', recipe }])
    expect(assignments.nodeOf('team/a')).toBeUndefined()
    assignments.restore('n1', undefined)
    assignments.restore('n1', [{ key: 'team/b', recipe }])
    expect(assignments.nodeOf('team/b')).toBe('n1')
  })
})

describe('the images of pods that need no reconciling', () => {
  const pod = (image: string) =>
    somePod({ metadata: { annotations: {} }, spec: { containers: [{ name: 'a', image }] } })
  const IMAGE = 'team/docker.io/library/app:1'

  it('are used as long as one such pod lives, and are kept once', () => {
    const use = createImageUse()
    const one = use.of(pod('app:1'))
    use.set('team/a', one)
    const two = use.of(pod('docker.io/library/app:1'))
    expect(two).toBe(one)
    use.set('team/b', two)
    use.set('team/a', undefined)
    expect(use.isUsed(IMAGE)).toBe(true)
    use.set('team/b', use.of(pod('other:1')))
    expect([use.isUsed(IMAGE), use.isUsed('team/docker.io/library/other:1')]).toEqual([false, true])
  })

  it('are not used by a pod that is being deleted', () => {
    const deleted = somePod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })
    expect(createImageUse().of(deleted)).toBeUndefined()
  })
})
