import { describe, expect, it } from 'vitest'
import { CREATED_FOR_PODS, GOOD_NODE, someEntry } from '../views.ts'
import { NOW, plan } from './plan.ts'

const attempt = (node: string) => ({ node, endTime: '2026-01-01T00:00:00Z', reason: `node ${node} is gone` })
const says = (state: 'Queued' | 'Building' | 'Present', node = 'node-1') => ({
  entries: new Map([[node, someEntry(node, { state })]]),
})
const buildingOn1 = { status: 'Building', buildNode: 'node-1' }

const lost = { problemOfNode: (node: string) => `node ${node} is gone`, memory: { 'lost node-1': NOW - 10_000 } }

const notReady = {
  problemOfNode: (node: string) => `node ${node} is not ready`,
  problemOfShim: () => undefined,
  memory: lost.memory,
}
const unassigned = {
  status: 'Pending',
  conditions: [{ type: 'Complete', status: 'False', reason: 'NoNode', message: 'no node can build it: x' }],
}

describe('a NixBuild made by hand', () => {
  it.each([
    ['is assigned to a node when it is new', {}, {}, { type: 'assign', node: 'node-2', attempts: [] }],
    [
      'is assigned to a node while it is Pending',
      { status: { status: 'Pending' } },
      {},
      { type: 'assign', node: 'node-2' },
    ],
    ['is left to a pod that pulls it', {}, { isWaitedFor: true, isPulled: true }, { type: 'none' }],
    ["is assigned to another node if the pod's node cannot build", {}, { isWaitedFor: true }, { type: 'assign' }],
    ['stays with its assigned node', {}, { assignedNode: 'node-1' }, { type: 'none' }],
    ['stays with the node that builds it', { status: buildingOn1 }, {}, { type: 'none' }],
    ['stays with the node that imports it', { status: { ...buildingOn1, status: 'Importing' } }, {}, { type: 'none' }],
    ['is left alone when it has succeeded', { status: { status: 'Succeeded' } }, {}, { type: 'none' }],
    ['is left alone when it has failed', { status: { status: 'Failed' } }, {}, { type: 'none' }],
    [
      'is left alone while it is being deleted',
      { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
      {},
      { type: 'none' },
    ],
    ['is built even if no pod waits for it', {}, { memory: { unwanted: 0 } }, { type: 'assign' }],
    [
      'says why no node can build it',
      {},
      { chooseNode: () => ({ none: 'the cluster has no node' }) },
      { type: 'leavePending', reason: 'NoNode', message: 'no node can build it: the cluster has no node' },
    ],
    [
      'is not written again with the same reason',
      {
        status: {
          status: 'Pending',
          conditions: [
            {
              type: 'Complete',
              status: 'False',
              reason: 'NoNode',
              message: 'no node can build it: the cluster has no node',
            },
          ],
        },
      },
      { chooseNode: () => ({ none: 'the cluster has no node' }) },
      { type: 'none' },
    ],
    [
      'fails if its recipe is invalid',
      { spec: { flakeUrl: '--option' } },
      {},
      { type: 'fail', message: expect.stringContaining('flake URL') },
    ],
    [
      'moves to another node if its own is lost',
      { status: buildingOn1 },
      lost,
      {
        type: 'assign',
        node: 'node-2',
        attempts: [{ node: 'node-1', endTime: '2026-01-01T01:00:00Z', reason: 'node node-1 is gone' }],
      },
    ],
    [
      'stays with a node that is not ready while a pod there pulls it',
      { status: buildingOn1 },
      { ...notReady, isWaitedFor: true, isRequestedOn: (node: string) => node === 'node-1' },
      { type: 'none' },
    ],
    [
      'leaves a node that is not ready while a pod elsewhere pulls it',
      { status: buildingOn1 },
      { ...notReady, isWaitedFor: true, isRequestedOn: (node: string) => node === 'node-2' },
      { type: 'assign', attempts: [{ reason: 'node node-1 is not ready' }] },
    ],
    [
      'moves to another node if its own is lost before the start',
      {},
      { ...lost, assignedNode: 'node-1' },
      { type: 'assign', node: 'node-2', attempts: [{ node: 'node-1' }] },
    ],
    [
      'is left to a pod that pulls it if its node is lost',
      { status: buildingOn1 },
      { ...lost, isWaitedFor: true, isPulled: true },
      { type: 'leavePending', reason: 'NodeLost', attempts: [{ node: 'node-1' }] },
    ],
    [
      'counts a lost node only once if the next node could not be written',
      { status: { status: 'Pending', attempts: [attempt('node-1')] } },
      { ...lost, assignedNode: 'node-1' },
      { type: 'assign', node: 'node-2', attempts: [attempt('node-1')] },
    ],
    [
      'waits if its node is lost and there is no other',
      { status: buildingOn1 },
      { ...lost, chooseNode: () => ({ none: 'x' }) },
      { type: 'leavePending', reason: 'NoNode', attempts: [{ node: 'node-1' }] },
    ],
    [
      'fails with its history after too many lost nodes',
      { status: { ...buildingOn1, attempts: [attempt('node-3'), attempt('node-2')] } },
      lost,
      {
        type: 'fail',
        message:
          'given up after 3 attempts: 2026-01-01T00:00:00Z node node-3 is gone; 2026-01-01T00:00:00Z node node-2 is gone; 2026-01-01T01:00:00Z node node-1 is gone',
        attempts: [{}, {}, { node: 'node-1' }],
      },
    ],
  ] as const)('%s', (_name, build, facts, action) => {
    expect(plan(build, facts).action).toMatchObject(action)
  })

  it('moves only after its node has been lost for the grace time', () => {
    const problemOfNode = () => 'lost'
    const first = plan({ status: buildingOn1 }, { problemOfNode })
    expect(first).toEqual({ action: { type: 'none' }, memory: { 'lost node-1': NOW }, recheckAt: NOW + 10_000 })
    const { memory } = first
    expect(plan({ status: buildingOn1 }, { problemOfNode, memory, now: NOW + 9_999 }).action.type).toBe('none')
    expect(plan({ status: buildingOn1 }, { memory, now: NOW + 5_000 }).memory).not.toHaveProperty('lost node-1')
    expect(plan({ status: buildingOn1 }, { problemOfNode, memory, now: NOW + 10_000 }).action.type).toBe('assign')
  })

  it('gives the next lost node the whole grace time, too', () => {
    const problemOfNode = () => 'lost'
    const { memory } = plan({ status: buildingOn1 }, { problemOfNode })
    const later = { problemOfNode, memory, now: NOW + 9_999 }
    expect(plan({ status: { ...buildingOn1, buildNode: 'node-2' } }, later).recheckAt).toBe(NOW + 19_999)
  })
})

describe('a NixBuild that no node can build', () => {
  const none = (text: string) => ({ chooseNode: () => ({ none: text }) })
  it('says why immediately', () => {
    expect(plan({}, none('x'))).toMatchObject({ action: { type: 'leavePending' }, memory: { reasonWrittenAt: NOW } })
  })

  it('is written at most once a minute when the reason changes', () => {
    const early = { ...none('y'), memory: { reasonWrittenAt: NOW - 1_000 } }
    const left = { action: { type: 'none' }, memory: early.memory, recheckAt: NOW + 59_000 }
    expect(plan({ status: unassigned }, early)).toEqual(left)
    expect(plan({ status: unassigned }, { ...none('x'), memory: early.memory })).toMatchObject({ memory: early.memory })
    expect(plan({ status: unassigned }, { ...none('y'), memory: { reasonWrittenAt: NOW - 60_000 } })).toMatchObject({
      action: { type: 'leavePending', message: 'no node can build it: y' },
      memory: { reasonWrittenAt: NOW },
    })
  })

  it('is assigned to a new node immediately', () => {
    expect(plan({ status: unassigned }, { memory: { reasonWrittenAt: NOW } }).action.type).toBe('assign')
  })
})

describe('a NixBuild made for pods', () => {
  const metadata = CREATED_FOR_PODS
  const unwanted = { memory: { unwanted: NOW - 30_000 } }
  it.each([
    ['is left to the node of its pod', {}, { isWaitedFor: true }, { type: 'none' }],
    ['is removed if no pod waits for it any more', {}, unwanted, { type: 'delete' }],
    ['is removed even while it is being built', { status: buildingOn1 }, unwanted, { type: 'delete' }],
    ['stays while a pod waits', { status: buildingOn1 }, { ...unwanted, isWaitedFor: true }, { type: 'none' }],
    ['stays when it has succeeded', { status: { status: 'Succeeded' } }, unwanted, { type: 'none' }],
    ['stays when it has failed', { status: { status: 'Failed' } }, unwanted, { type: 'none' }],
    [
      'stays while a pod that started long ago pulls it again',
      { status: buildingOn1 },
      { ...unwanted, isRequested: true },
      { type: 'none' },
    ],
    [
      'is removed before its start if all its pods have started',
      { status: { status: 'Pending' } },
      { ...unwanted, isRequested: true },
      { type: 'delete' },
    ],
    [
      'stays with a node that is not ready, as its shim continues',
      { status: buildingOn1 },
      { ...notReady, isWaitedFor: true },
      { type: 'none' },
    ],
    [
      'waits for another node if its own is lost',
      { status: buildingOn1 },
      { ...lost, isWaitedFor: true },
      {
        type: 'leavePending',
        reason: 'NodeLost',
        message: 'node node-1 is gone; waiting for another node',
        attempts: [{}],
      },
    ],
    [
      'never fails because of lost nodes',
      { status: { ...buildingOn1, attempts: Array.from({ length: 20 }, (_, n) => attempt(`node-${n}`)) } },
      { ...lost, isWaitedFor: true },
      { type: 'leavePending', attempts: { length: 20, 19: { node: 'node-1' } } },
    ],
  ] as const)('%s', (_name, build, facts, action) => {
    expect(plan({ metadata, ...build }, facts).action).toMatchObject(action)
  })

  it('goes to another node if the nodes of its pods cannot build it for the grace time', () => {
    const stranded = { isWaitedFor: true, isStranded: true }
    const first = plan({ metadata }, stranded)
    expect(first).toMatchObject({ action: { type: 'none' }, memory: { stranded: NOW }, recheckAt: NOW + 30_000 })
    const later = { ...stranded, memory: first.memory, now: NOW + 30_000 }
    expect(plan({ metadata }, later).action).toEqual({ type: 'assign', node: 'node-2', attempts: [] })
  })

  it.each([
    ['a node of its pods can build it', {}, { isPulled: true }],
    ['no kubelet pulls its image', {}, { isStranded: false }],
    ['a node has it', { status: buildingOn1 }, {}],
  ])('does not go to another node if %s', (_name, build, facts) => {
    const memory = { stranded: NOW - 30_000 }
    const action = plan({ metadata, ...build }, { isWaitedFor: true, isStranded: true, memory, ...facts }).action
    expect(action).toEqual({ type: 'none' })
  })

  it('goes to another node immediately if a node of its pods only fetches', () => {
    const fetched = { isWaitedFor: true, isStranded: true, isFetched: true }
    expect(plan({ metadata }, fetched).action).toEqual({ type: 'assign', node: 'node-2', attempts: [] })
    expect(plan({ metadata }, { ...fetched, isPulled: true }).action).toEqual({ type: 'none' })
  })

  it.each([
    ['is gone', {}, { type: 'assign', node: 'node-2' }],
    ['is there', says('Present'), { type: 'report' }],
    ['is gone and a node of its pods can build it', { isPulled: true }, { type: 'none' }],
    ['is gone and no pod waits for it', { isStranded: false, isFetched: false }, { type: 'none' }],
    ['is gone and a node has been chosen', { assignedNode: 'node-2' }, { type: 'none' }],
  ] as const)('is built again or not when it has succeeded and its image %s', (_name, facts, action) => {
    const fetched = { isWaitedFor: true, isStranded: true, isFetched: true }
    for (const each of [{ metadata }, {}])
      expect(plan({ ...each, status: { status: 'Succeeded' } }, { ...fetched, ...facts }).action).toMatchObject(action)
  })

  it('says that no node at all can build it, and goes to the first that can', () => {
    const memory = { stranded: NOW - 30_000 }
    const stranded = { isWaitedFor: true, isStranded: true, memory }
    const none = plan({ metadata }, { ...stranded, chooseNode: () => ({ none: 'x' }) })
    expect(none).toMatchObject({ action: { type: 'leavePending', reason: 'NoNode' }, memory })
    const next = { ...stranded, memory: none.memory, now: NOW + 1 }
    expect(plan({ metadata, status: unassigned }, next).action.type).toBe('assign')
  })

  it('is removed only after the grace time', () => {
    const first = plan({ metadata })
    expect(first).toMatchObject({ action: { type: 'none' }, memory: { unwanted: NOW }, recheckAt: NOW + 30_000 })
    expect(plan({ metadata }, { memory: first.memory, isWaitedFor: true }).memory).toEqual({})
    expect(plan({ metadata }, { memory: first.memory, now: NOW + 30_000 }).action.type).toBe('delete')
  })

  it('is checked again at the end of the earlier grace time if it is unwanted and lost', () => {
    const facts = { problemOfNode: () => 'x', memory: { unwanted: NOW - 25_000, 'lost node-1': NOW - 1_000 } }
    expect(plan({ metadata, status: buildingOn1 }, facts)).toEqual({
      action: { type: 'none' },
      memory: { unwanted: NOW - 25_000, 'lost node-1': NOW - 1_000 },
      recheckAt: NOW + 5_000,
    })
  })
})

describe('a NixBuild that selects nodes', () => {
  const spec = { nodes: { matchLabels: { pool: 'web' } } }
  const select = (canBuild: boolean, ...names: readonly string[]) => ({
    selection: { nodes: new Map(names.map(name => [name, GOOD_NODE])), canBuild },
  })
  const notSelected = { type: 'leavePending', reason: 'NoNode', message: expect.stringContaining('spec.nodes') }

  it.each([
    ['is left to those of them that can build', {}, select(true, 'a'), { type: 'none' }],
    ['is assigned to another node if they only fetch', {}, select(false, 'a'), { type: 'assign', node: 'node-2' }],
    ['says that there are none', {}, select(false), notSelected],
    ['is left to the node of a pod', {}, { ...select(false), isPulled: true }, { type: 'none' }],
    [
      'waits for another one if its node is lost',
      { status: buildingOn1 },
      { ...lost, ...select(true, 'a') },
      { type: 'leavePending', reason: 'NodeLost' },
    ],
    [
      'is built again for nodes that only fetch if its image is gone, after an hour',
      { status: { status: 'Succeeded', completionTime: '2026-01-01T00:00:00Z' } },
      select(false, 'a'),
      { type: 'assign' },
    ],
    [
      'is not built again sooner',
      { status: { status: 'Succeeded', completionTime: '2026-01-01T00:00:01Z' } },
      select(false, 'a'),
      { type: 'none' },
    ],
    [
      'is left to nodes that can build if its image is gone',
      { status: { status: 'Succeeded' } },
      select(true, 'a'),
      { type: 'none' },
    ],
    [
      'stays although no pod waits for it',
      { metadata: CREATED_FOR_PODS },
      { ...select(true, 'a'), memory: { unwanted: 0 } },
      { type: 'none' },
    ],
  ] as const)('%s', (_name, build, facts, action) => {
    expect(plan({ spec, ...build }, facts).action).toMatchObject(action)
  })

  it('is planned again when its image may be built again', () => {
    const completionTime = '2026-01-01T00:00:01Z'
    const written = { selected: { count: 1, nodes: ['a'] }, missing: { count: 1, nodes: ['a'] } }
    const status = { status: 'Succeeded', imageDigest: 'sha256:1', completionTime, ...written }
    expect(plan({ spec, status }, { ...select(false, 'a'), writtenAt: NOW })).toMatchObject({ recheckAt: NOW + 1_000 })
  })

  it('says which nodes it selects whenever it says anything', () => {
    const groups = { selected: { count: 1, nodes: ['a'] }, missing: { count: 1, nodes: ['a'] } }
    const none = { chooseNode: () => ({ none: 'x' }) }
    for (const facts of [{}, none])
      expect(plan({ spec }, { ...select(false, 'a'), ...facts }).action).toMatchObject({ groups })
    const moved = plan({ spec, status: buildingOn1 }, { ...lost, ...select(false, 'a') })
    expect(moved.action).toMatchObject({ type: 'assign', groups })
    expect(plan({ spec, status: groups }, select(false, 'a')).action).toEqual({
      type: 'assign',
      node: 'node-2',
      attempts: [],
    })
  })
})

describe('what the nodes say about a NixBuild', () => {
  const metadata = CREATED_FOR_PODS
  const wanted = { isWaitedFor: true }

  it('is written once it has lasted for a second', () => {
    const first = plan({ metadata }, { ...says('Building'), ...wanted })
    expect(first).toEqual({
      action: { type: 'none' },
      memory: { outdatedSince: NOW },
      recheckAt: NOW + 1_000,
    })
    const later = { ...says('Building'), ...wanted, memory: first.memory, now: NOW + 1_000 }
    expect(plan({ metadata }, later)).toMatchObject({ action: { type: 'report', patch: { status: 'Building' } } })
  })

  it('is written once it has lasted for two seconds if the build is only queued: it may begin sooner', () => {
    const memory = { outdatedSince: NOW - 1_000 }
    const queued = plan({ metadata }, { ...says('Queued'), ...wanted, memory })
    expect(queued).toMatchObject({ action: { type: 'none' }, recheckAt: NOW + 1_000 })
    const begun = plan({ metadata }, { ...says('Building'), ...wanted, memory })
    expect(begun).toMatchObject({ action: { type: 'report', patch: { status: 'Building' } } })
  })

  it('is written at most once in 5 s', () => {
    const facts = { ...says('Building'), ...wanted, memory: { outdatedSince: NOW - 3_000 }, writtenAt: NOW - 4_000 }
    expect(plan({ metadata }, facts)).toMatchObject({ action: { type: 'none' }, recheckAt: NOW + 1_000 })
    expect(plan({ metadata }, { ...facts, writtenAt: NOW - 5_000 }).action.type).toBe('report')
  })

  it('is written immediately if it is a result, but not within 5 s after the last write', () => {
    expect(plan({ metadata }, { ...says('Present'), ...wanted })).toMatchObject({
      action: { type: 'report', patch: { status: 'Succeeded' } },
    })
    const facts = { ...says('Present'), ...wanted, writtenAt: NOW - 2_000 }
    expect(plan({ metadata }, facts)).toMatchObject({ action: { type: 'none' }, recheckAt: NOW + 3_000 })
  })

  it('does not count if the node is lost', () => {
    const facts = { ...says('Building'), ...wanted, problemOfNode: () => 'x' }
    expect(plan({ metadata }, facts).action).toEqual({ type: 'none' })
  })

  it('comes before an assignment', () => {
    expect(plan({}, says('Present')).action).toMatchObject({ type: 'report', patch: { status: 'Succeeded' } })
    expect(plan({}, says('Building')).action).toEqual({ type: 'none' })
  })
})

describe('a failure that the controller learned before the NixBuild was created', () => {
  const entries = new Map([['node-1', someEntry('node-1', { state: 'Failed', since: '2026-01-01T00:59:00Z' })]])
  const metadata = { creationTimestamp: '2026-01-01T01:00:00Z' }
  const seen = (minute: number) => ({
    entries,
    assignedNode: 'node-1',
    seenAt: Date.parse(`2026-01-01T00:${minute}:00Z`),
  })

  it('is of an earlier NixBuild', () => {
    expect(plan({ metadata }, { ...seen(59), seenAt: NOW }).action.type).toBe('none')
  })

  it('counts if the clock of the API server is ahead', () => {
    expect(plan({ metadata }, seen(58)).action).toMatchObject({ type: 'report', patch: { status: 'Failed' } })
  })
})

describe('NixBuilds made by hand in one namespace', () => {
  it('wait while as many as may be are assigned', () => {
    const action = { type: 'leavePending', reason: 'TooMany', message: expect.stringContaining('--max-assigned') }
    expect(plan({}, { assignedInNamespace: 2 }).action).toMatchObject(action)
    expect(plan({}, { assignedInNamespace: 1 }).action.type).toBe('assign')
  })

  it('move to another node if their own is lost, however many are assigned', () => {
    const facts = { ...lost, assignedNode: 'node-1', assignedInNamespace: 2 }
    expect(plan({ status: buildingOn1 }, facts).action.type).toBe('assign')
  })
})
