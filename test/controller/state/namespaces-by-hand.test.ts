import { describe, expect, it } from 'vitest'
import { createNamespacesByHand } from '../../../controller/state/namespaces-by-hand.ts'
import { someBuild } from '../views.ts'
import { startBuilds } from './start.ts'

const HOUR_MS = 3_600_000
const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`)

function begin(isSynced = true) {
  let [time, changes] = [0, 0]
  const namespaces = createNamespacesByHand({
    isSynced: () => isSynced,
    now: () => time,
    onChange() {
      changes += 1
    },
  })
  return {
    all: () => [...namespaces.names],
    changes: () => changes,
    add(added: readonly string[], at = 0) {
      time = at
      for (const namespace of added) namespaces.add(namespace)
    },
  }
}

describe('the namespaces of NixBuilds made by hand', () => {
  it('keep one whose NixBuilds are gone', () => {
    const { builds, set } = startBuilds()
    set('team/app-1', someBuild())
    set('team/app-1', undefined)
    expect([...builds.namespacesByHand]).toEqual(['team'])
  })

  it('are all from the twenty-first new one in an hour on, and do not change any more', () => {
    const bed = begin()
    bed.add([...names(20), ...names(20)])
    expect([bed.all(), bed.changes()]).toEqual([names(20), 20])
    bed.add(['x', 'y'], HOUR_MS - 1)
    expect([bed.all().includes('*'), bed.changes()]).toEqual([true, 21])
  })

  it('are not all if new ones come slowly, or existed before', () => {
    const slow = begin()
    slow.add(names(20))
    slow.add(['x'], HOUR_MS)
    expect(slow.all()).toEqual([...names(20), 'x'])
    const start = begin(false)
    start.add(names(100))
    expect(start.all()).toEqual(names(100))
  })
})
