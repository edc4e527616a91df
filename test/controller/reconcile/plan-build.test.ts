import { describe, expect, it } from 'vitest'
import { MANAGED } from '../views.ts'
import { given, NOW, plan } from './plan.ts'

const attempt = (node: string) => ({ node, endTime: '2026-01-01T00:00:00Z', reason: `node ${node} is gone` })
const buildingOn1 = { status: 'Building', buildNode: 'node-1' }

const lost = { nodeProblem: (node: string) => `node ${node} is gone`, memory: { lostSince: NOW - 10_000 } }

const notReady = {
  nodeProblem: (node: string) => `node ${node} is not ready`,
  shimProblem: () => undefined,
  memory: lost.memory,
}
const held = {
  status: 'Pending',
  conditions: [{ type: 'Complete', status: 'False', reason: 'NoNode', message: 'no node can build it: x' }],
}

describe('a NixBuild made by hand', () => {
  it.each([
    ['that is new is given to a node', {}, {}, { type: 'assign', node: 'node-2', attempts: [] }],
    ['that is Pending, too', { status: { status: 'Pending' } }, {}, { type: 'assign', node: 'node-2' }],
    ['that a pod pulls is left to it', {}, { waitingPods: 1, pullingPods: 1 }, { type: 'none' }],
    [
      'that a pod waits for on a node that cannot build is given to one that can',
      {},
      { waitingPods: 1 },
      { type: 'assign' },
    ],
    ['that was given to a node stays there', { metadata: given }, {}, { type: 'none' }],
    ['that is being built stays there', { status: buildingOn1 }, {}, { type: 'none' }],
    ['that is being loaded stays there', { status: { ...buildingOn1, status: 'Importing' } }, {}, { type: 'none' }],
    ['that is done is done', { status: { status: 'Succeeded' } }, {}, { type: 'none' }],
    ['that failed has failed', { status: { status: 'Failed' } }, {}, { type: 'none' }],
    ['that goes is let go', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, {}, { type: 'none' }],
    ['that nobody waits for is built all the same', {}, { memory: { unwantedSince: 0 } }, { type: 'assign' }],
    [
      'for which there is no node says why',
      {},
      { chooseNode: () => ({ none: 'the cluster has no node' }) },
      { type: 'hold', reason: 'NoNode', message: 'no node can build it: the cluster has no node' },
    ],
    [
      'that has said so is not written again',
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
      'that nobody can read fails',
      { spec: { flakeUrl: '--option' } },
      {},
      { type: 'fail', message: expect.stringContaining('flake URL') },
    ],
    [
      'whose node is lost is given to another',
      { status: buildingOn1 },
      lost,
      {
        type: 'assign',
        node: 'node-2',
        attempts: [{ node: 'node-1', endTime: '2026-01-01T01:00:00Z', reason: 'node node-1 is gone' }],
      },
    ],
    [
      'whose node is not ready while a pod there pulls it stays there',
      { status: buildingOn1 },
      { ...notReady, waitingPods: 1, isPulledOn: (node: string) => node === 'node-1' },
      { type: 'none' },
    ],
    [
      'whose node is not ready while a pod elsewhere pulls it is given away',
      { status: buildingOn1 },
      { ...notReady, waitingPods: 1, isPulledOn: (node: string) => node === 'node-2' },
      { type: 'assign', attempts: [{ reason: 'node node-1 is not ready' }] },
    ],
    [
      'whose node is lost before it began, too',
      { metadata: given },
      lost,
      { type: 'assign', node: 'node-2', attempts: [{ node: 'node-1' }] },
    ],
    [
      'whose node is lost while a pod pulls it is left to the pod',
      { status: buildingOn1 },
      { ...lost, waitingPods: 1, pullingPods: 1 },
      { type: 'hold', reason: 'NodeLost', attempts: [{ node: 'node-1' }] },
    ],
    [
      'whose nodeProblem is written down, but not the next node, loses no further try',
      { metadata: given, status: { status: 'Pending', attempts: [attempt('node-1')] } },
      lost,
      { type: 'assign', node: 'node-2', attempts: [attempt('node-1')] },
    ],
    [
      'whose node is lost when there is no other waits',
      { status: buildingOn1 },
      { ...lost, chooseNode: () => ({ none: 'x' }) },
      { type: 'hold', reason: 'NoNode', attempts: [{ node: 'node-1' }] },
    ],
    [
      'that was lost too often fails with the history',
      { status: { ...buildingOn1, attempts: [attempt('node-3'), attempt('node-2')] } },
      lost,
      {
        type: 'fail',
        message:
          'given up after 3 tries: 2026-01-01T00:00:00Z node node-3 is gone; 2026-01-01T00:00:00Z node node-2 is gone; 2026-01-01T01:00:00Z node node-1 is gone',
        attempts: [{}, {}, { node: 'node-1' }],
      },
    ],
  ] as const)('%s', (_name, build, facts, action) => {
    expect(plan(build, facts).action).toMatchObject(action)
  })

  it('is given away only after its node has been lost for a while', () => {
    const nodeProblem = () => 'silent'
    const first = plan({ status: buildingOn1 }, { nodeProblem })
    expect(first).toEqual({ action: { type: 'none' }, memory: { lostSince: NOW }, recheckAt: NOW + 10_000 })
    const { memory } = first
    expect(plan({ status: buildingOn1 }, { nodeProblem, memory, now: NOW + 9_999 }).action.type).toBe('none')
    expect(plan({ status: buildingOn1 }, { memory, now: NOW + 5_000 }).memory).toEqual({})
    expect(plan({ status: buildingOn1 }, { nodeProblem, memory, now: NOW + 10_000 }).action.type).toBe('assign')
  })
})

describe('a NixBuild for which there is no node', () => {
  const none = (text: string) => ({ chooseNode: () => ({ none: text }) })
  it('says why at once', () => {
    expect(plan({}, none('x'))).toMatchObject({ action: { type: 'hold' }, memory: { heldAt: NOW } })
  })

  it('is not written again within a minute, however often the reason changes', () => {
    const early = { ...none('y'), memory: { heldAt: NOW - 1_000 } }
    const left = { action: { type: 'none' }, memory: early.memory, recheckAt: NOW + 59_000 }
    expect(plan({ status: held }, early)).toEqual(left)
    expect(plan({ status: held }, { ...none('x'), memory: early.memory })).toMatchObject({ memory: early.memory })
    expect(plan({ status: held }, { ...none('y'), memory: { heldAt: NOW - 60_000 } })).toMatchObject({
      action: { type: 'hold', message: 'no node can build it: y' },
      memory: { heldAt: NOW },
    })
  })

  it('is given to one that comes at once', () => {
    expect(plan({ status: held }, { memory: { heldAt: NOW } }).action.type).toBe('assign')
  })
})

describe('a NixBuild made for pods', () => {
  const metadata = MANAGED
  const unwanted = { memory: { unwantedSince: NOW - 30_000 } }
  it.each([
    ['is left to the node of its pod', {}, { waitingPods: 1 }, { type: 'none' }],
    ['is removed when no pod waits for it any more', {}, unwanted, { type: 'delete' }],
    ['is removed while it is being built', { status: buildingOn1 }, unwanted, { type: 'delete' }],
    ['stays while a pod waits', { status: buildingOn1 }, { ...unwanted, waitingPods: 1 }, { type: 'none' }],
    ['stays when it is done', { status: { status: 'Succeeded' } }, unwanted, { type: 'none' }],
    ['stays when it failed', { status: { status: 'Failed' } }, unwanted, { type: 'none' }],
    [
      'stays while a pod that started long ago pulls it again',
      { status: buildingOn1 },
      { ...unwanted, requestingPods: 1 },
      { type: 'none' },
    ],
    [
      'is removed when it has not begun and all its pods have started',
      { status: { status: 'Pending' } },
      { ...unwanted, requestingPods: 1 },
      { type: 'delete' },
    ],
    [
      'stays with a node that is not ready: its shim goes on',
      { status: buildingOn1 },
      { ...notReady, waitingPods: 1 },
      { type: 'none' },
    ],
    [
      'waits for another node when its own is lost',
      { status: buildingOn1 },
      { ...lost, waitingPods: 1 },
      { type: 'hold', reason: 'NodeLost', message: 'node node-1 is gone; waiting for another', attempts: [{}] },
    ],
    [
      'is not given up however many nodes lose it',
      { status: { ...buildingOn1, attempts: Array.from({ length: 20 }, (_, n) => attempt(`node-${n}`)) } },
      { ...lost, waitingPods: 1 },
      { type: 'hold', attempts: { length: 20, 19: { node: 'node-1' } } },
    ],
  ] as const)('%s', (_name, build, facts, action) => {
    expect(plan({ metadata, ...build }, facts).action).toMatchObject(action)
  })

  it('is removed only after a while', () => {
    const first = plan({ metadata })
    expect(first).toMatchObject({ action: { type: 'none' }, memory: { unwantedSince: NOW }, recheckAt: NOW + 30_000 })
    expect(plan({ metadata }, { memory: first.memory, waitingPods: 1 }).memory).toEqual({})
    expect(plan({ metadata }, { memory: first.memory, now: NOW + 30_000 }).action.type).toBe('delete')
  })

  it('that is unwanted and lost is looked at when the first of both graces ends', () => {
    const facts = { nodeProblem: () => 'x', memory: { unwantedSince: NOW - 25_000, lostSince: NOW - 1_000 } }
    expect(plan({ metadata, status: buildingOn1 }, facts)).toEqual({
      action: { type: 'none' },
      memory: { unwantedSince: NOW - 25_000, lostSince: NOW - 1_000 },
      recheckAt: NOW + 5_000,
    })
  })
})

describe('the nodes that have an image', () => {
  const status = { status: 'Succeeded', nodes: [{ name: 'node-1' }, { name: 'node-2' }] }
  const nodeExists = (name: string) => name === 'node-2'
  it('lose one that is gone, after a while', () => {
    const first = plan({ status }, { nodeExists })
    expect(first).toMatchObject({ action: { type: 'none' }, recheckAt: NOW + 10_000 })
    expect(plan({ status }, { nodeExists, memory: first.memory, now: NOW + 10_000 }).action).toEqual({
      type: 'prune',
      nodes: [{ name: 'node-2' }],
    })
  })

  it('stay while all are there', () => {
    expect(plan({ status })).toEqual({ action: { type: 'none' }, memory: {} })
  })
})
