import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createGonePods } from '../../../controller/reconcilers/gone-pods.ts'
import { type NixNodeView, nixNodeView } from '../../../controller/views/nixnode.ts'
import type { Kind, ObjectName } from '../../../kube/client/contract.ts'
import { type NodeBuild, nixNodes } from '../../../kube/resources/nixnode.ts'
import { startPods } from '../state/start.ts'
import { somePod } from '../views.ts'

const METADATA = { uid: 'uid-1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const DELETED = '2026-01-02T00:00:00Z'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function nodeWith(pods: NodeBuild['pods']): NixNodeView {
  const build = { namespace: 'team', key: 'key', state: 'Building', since: METADATA.creationTimestamp, pods }
  const nixNode = nixNodes.parse({ metadata: { ...METADATA, name: 'node-1' }, status: { builds: [build] } })
  return nixNodeView(nixNode, { ofRecipe: () => new Map(), isWatched: () => false, now: 0 })
}

/** Pods that the API server has, by name, besides those of the watch. */
function start(metadataOf: (name: string) => object | undefined) {
  const asked: string[] = []
  const { pods, set } = startPods(new Map([['node-1', 'x86_64-linux']]))
  async function get<T>(kind: Kind<T>, { namespace, name }: ObjectName): Promise<T | undefined> {
    asked.push(name)
    const metadata = metadataOf(name)
    return metadata && kind.parse({ metadata: { ...METADATA, namespace, name, ...metadata }, spec: { containers: [] } })
  }
  const gonePods = createGonePods({ pods, kube: { get } })
  const takeAsked = () => asked.splice(0)
  return { gonePods, set, takeAsked }
}

const many = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `web-${n}`, uid: `uid-${n}` }))

describe('a static pod', () => {
  const MIRROR = { uid: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'fixed' } }

  it.each([
    ['keeps its pulls while its mirror pod is being deleted', 'fixed', { ...MIRROR, deletionTimestamp: DELETED }, []],
    ['keeps its pulls without a mirror pod', 'fixed', undefined, []],
    ['keeps its pulls while its mirror pod lives', 'fixed', MIRROR, []],
    [
      'loses those that name a mirror pod that is being deleted',
      'mirror',
      { ...MIRROR, deletionTimestamp: DELETED },
      ['mirror'],
    ],
  ])('%s', async (_, uid, metadata, gone) => {
    const { gonePods } = start(() => metadata)
    expect((await gonePods.of(nodeWith([{ name: 'web-node-1', uid }]))).uids).toEqual(gone)
  })
})

it('deleted pods that the node does not name are gone if it may have left them out', async () => {
  const { gonePods, set } = start(() => undefined)
  for (const { name, uid } of many(25)) set(`team/${name}`, somePod({ metadata: { name, uid } }))
  const deleted = (uid: string, parts = {}) => somePod({ metadata: { uid, deletionTimestamp: DELETED, ...parts } })
  set('team/web-23', deleted('uid-23'))
  set('other/web', deleted('other', { namespace: 'other' }))
  expect((await gonePods.of(nodeWith(many(20)))).uids).toEqual(['uid-23'])
  expect((await gonePods.of(nodeWith(many(19)))).uids).toEqual([])
})

describe('pods that are not watched', () => {
  const uidOf = (name: string) => ({ uid: name.replace('web', 'uid') })

  it('are asked for in turn, and only some of a node at a time', async () => {
    const { gonePods, takeAsked } = start(uidOf)
    const all = many(50).map(({ name }) => name)
    const node = nodeWith(many(50))
    const { recheckAt } = await gonePods.of(node)
    expect([takeAsked(), recheckAt]).toEqual([all.slice(0, 20), Date.now() + 5_000])
    await gonePods.of(node)
    expect(takeAsked()).toEqual([])
    vi.advanceTimersByTime(5_000)
    await gonePods.of(node)
    vi.advanceTimersByTime(5_000)
    await gonePods.of(node)
    expect(takeAsked()).toEqual([...all.slice(20), ...all.slice(0, 10)])
  })

  it('are asked for after growing pauses, until they are gone', async () => {
    let isThere = true
    const { gonePods } = start(name => (isThere ? uidOf(name) : undefined))
    const node = nodeWith(many(1))
    const pauses: number[] = []
    for (let n = 0; n < 6; n += 1) {
      const { recheckAt = 0 } = await gonePods.of(node)
      pauses.push((recheckAt - Date.now()) / 1_000)
      vi.setSystemTime(recheckAt)
    }
    expect(pauses).toEqual([5, 10, 20, 40, 60, 60])
    isThere = false
    expect(await gonePods.of(node)).toEqual({ uids: ['uid-0'], recheckAt: undefined })
  })
})
