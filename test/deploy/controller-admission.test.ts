import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Kind, Kube } from '../../kube/client/contract.ts'
import { CONTROLLER, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { configMaps } from '../kube/config-maps.ts'
import { PATIENT } from '../patience.ts'

const KEEP = 'cluster-autoscaler.kubernetes.io/scale-down-disabled'
const MARK = 'enbi.hrzn.ee/scale-down-disabled'
const OURS = { [KEEP]: 'true', [MARK]: 'true' }
const NONE = { [KEEP]: null, [MARK]: null }
const MERGE = { type: 'merge', fieldManager: 'test' } as const
const REFUSAL = expect.objectContaining({
  code: 'ClusterRefused',
  message: expect.stringMatching(/the controller (changes only|may not write)/),
})
const nodes: Kind<unknown> = { ...configMaps, kind: 'Node', plural: 'nodes', namespaced: false }

let cluster: Cluster
let admin: Kube
let controller: Kube

beforeAll(async () => {
  cluster = await useCluster()
  admin = cluster.client()
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: CONTROLLER })
  controller = cluster.client(await cluster.kubeconfig({ token }))
  // An API server applies a new admission policy only after a moment.
  const node = await addNode({})
  const relabel = () => change(controller, node, { metadata: { labels: { a: randomUUID() } } })
  await vi.waitFor(() => expect(relabel()).rejects.toThrow(REFUSAL), PATIENT)
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

describe('the controller may', () => {
  test('keep the cluster autoscaler from removing a node, and allow it again', async () => {
    const node = await addNode({ other: 'x' })
    await annotate(node, OURS)
    await annotate(node, NONE)
    await expect(annotate(node, NONE)).resolves.toBeDefined()
  })

  test('give up a value that a user has changed', async () => {
    const node = await addNode({ ...OURS, [KEEP]: 'false' })
    await annotate(node, { [MARK]: null })
  })
})

describe('the controller may not', () => {
  test.each([
    ['set another value', {}, { [KEEP]: 'false', [MARK]: 'true' }],
    ['set the value without its mark', {}, { [KEEP]: 'true' }],
    ['set another mark', {}, { [KEEP]: 'true', [MARK]: 'x' }],
    ["change a user's value", { [KEEP]: 'false' }, OURS],
    ["remove a user's value", { [KEEP]: 'true' }, NONE],
    ["claim a user's value", { [KEEP]: 'true' }, { [MARK]: 'true' }],
    ['remove a value that a user has changed', { ...OURS, [KEEP]: 'false' }, NONE],
    ['remove the value and keep the mark', OURS, { [KEEP]: null }],
    ['add another annotation', {}, { other: 'x' }],
    ['change another annotation', { other: 'x' }, { ...OURS, other: 'y' }],
    ['remove another annotation', { other: 'x' }, { ...OURS, other: null }],
  ])('%s of a node', async (_name, before, annotations) => {
    await expect(annotate(await addNode(before), annotations)).rejects.toThrow(REFUSAL)
  })

  test.each([
    ['the labels', { metadata: { labels: { a: 'b' } } }],
    ['the finalizers', { metadata: { finalizers: ['example.com/a'] } }],
    [
      'the owners',
      { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: randomUUID() }] } },
    ],
    ['the taints', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }],
    ['the schedulability', { spec: { unschedulable: true } }],
  ])('change %s of a node', async (_name, body) => {
    await expect(change(controller, await addNode({}), body)).rejects.toThrow(REFUSAL)
  })
})

test('others may change nodes as before', async () => {
  const node = await addNode({ [KEEP]: 'false' })
  await change(admin, node, { metadata: { annotations: NONE, labels: { a: 'b' } }, spec: { unschedulable: true } })
})

async function addNode(annotations: object): Promise<string> {
  const name = `node-${randomUUID()}`
  await admin.create(nodes, { name, body: { metadata: { annotations } } })
  return name
}

function annotate(node: string, annotations: object) {
  return change(controller, node, { metadata: { annotations } })
}

function change(kube: Kube, name: string, body: object) {
  return kube.patch(nodes, { name, body }, MERGE)
}
