import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Kube } from '../../kube/client/contract.ts'
import { CONTROLLER, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { readGuide } from '../docs/code-blocks.ts'
import { PATIENT } from '../patience.ts'
import { NODES, SET_SPEC, SPEC } from './nixbuilds.ts'

const MERGE = { type: 'merge', fieldManager: 'test' } as const
let cluster: Cluster
let namespace: string
/** A user with the role `edit` in one namespace. */
let tenant: Kube
let controller: Kube

beforeAll(async () => {
  cluster = await useCluster()
  namespace = await cluster.createNamespace()
  const subject = [`--namespace=${namespace}`, '--clusterrole=enbi-nixbuilds-edit', '--user=tenant']
  await cluster.kubectl(['create', 'rolebinding', 'tenant', ...subject])
  tenant = cluster.client(await cluster.kubeconfig({ name: 'tenant', groups: [] }))
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: CONTROLLER })
  controller = cluster.client(await cluster.kubeconfig({ token }))
  // An API server applies a new admission policy only after a moment.
  await vi.waitFor(() => expect(create(tenant, { labels: many(100) })).rejects.toThrow(/at most 32 labels/), PATIENT)
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

const TOO_LARGE: [string, object, string][] = [
  ['many labels', { labels: many(100) }, 'at most 32 labels'],
  ['a large annotation', { annotations: { large: 'x'.repeat(200_000) } }, 'annotations of a NixBuild'],
  ['many annotations', { annotations: many(1_000) }, 'annotations of a NixBuild'],
  ['many owners', { ownerReferences: owners(100) }, 'at most 32 owners'],
  ['many finalizers', { finalizers: Object.keys(many(20)).map(name => `example.org/${name}`) }, '8 finalizers'],
  ['records of many writers', { managedFields: writes(1_000) }, 'managedFields'],
  ['a record of many fields', { managedFields: [write('me', fields(10_000))] }, 'managedFields'],
]

describe('a tenant cannot', () => {
  test.each(TOO_LARGE)('create a NixBuild with %s', async (_, metadata, problem) => {
    await expect(create(tenant, metadata)).rejects.toThrow(refusal(problem))
  })

  test.each(TOO_LARGE)('give a NixBuild %s', async (_, metadata, problem) => {
    const name = await create(tenant, {})
    await expect(tenant.patch(nixBuilds, { namespace, name, body: { metadata } }, MERGE)).rejects.toThrow(
      refusal(problem),
    )
  })

  test('grow a NixBuild by one field manager after the other', async () => {
    const name = await create(tenant, {})
    const grow = async () => {
      for (let manager = 0; manager < 2_000; manager += 1) {
        const fieldManager = `${manager}-`.padEnd(128, 'x')
        const body = { spec: SPEC }
        await tenant.patch(nixBuilds, { namespace, name, body }, { type: 'apply', fieldManager })
      }
    }
    await expect(grow()).rejects.toThrow(refusal('managedFields'))
  })
})

describe('a user can', () => {
  test('apply the longest recipe with kubectl, with the labels of other tools', async () => {
    const contents = Array.from({ length: 128 }, (_, index) => `p${index}`.padEnd(32, 'x'))
    const spec = { ...SET_SPEC, contents }
    const name = randomUUID()
    const { apiVersion, kind } = nixBuilds
    const object = { apiVersion, kind, metadata: { namespace, name, labels: many(20), annotations: many(20) }, spec }
    const input = JSON.stringify(object)
    await cluster.kubectl(['apply', '--validate=strict', '--filename=-'], { input })
    await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '--filename=-'], { input })
  })

  test('select the nodes of a NixBuild, and others later', async () => {
    const name = await create(tenant, {})
    for (const nodes of [NODES, { matchLabels: null, matchExpressions: null }, null])
      await tenant.patch(nixBuilds, { namespace, name, body: { spec: { nodes } } }, MERGE)
  })

  test('make a NixBuild smaller that is too large', async () => {
    const name = await create(controller, { labels: many(34) })
    const change = (labels: object) =>
      tenant.patch(nixBuilds, { namespace, name, body: { metadata: { labels } } }, MERGE)
    await change({ 'name-0': null })
    await expect(change({ another: 'label' })).rejects.toThrow(refusal('32 labels'))
  })
})

test('the policy of the guide says who may select nodes, and leaves other changes alone', async () => {
  const before = await create(tenant, {}, { nodes: NODES })
  const [policy = ''] = (await readGuide('prepare-images.md'))
    .map(({ text }) => text)
    .filter(text => text.includes('ValidatingAdmissionPolicy'))
  // Other tests use the same cluster.
  const scope = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } }
  const input = `${policy.trimEnd()}\n  matchResources: ${JSON.stringify(scope)}\n`
  await cluster.kubectl(['apply', '--filename=-'], { input })
  onTestFinished(async () => {
    await cluster.kubectl(['delete', '--filename=-'], { input })
  })
  const refused = refusal('only the group image-team')
  await vi.waitFor(() => expect(create(tenant, {}, { nodes: {} })).rejects.toThrow(refused), PATIENT)
  const other = await create(tenant, {})
  const change = (name: string, body: object) => tenant.patch(nixBuilds, { namespace, name, body }, MERGE)
  for (const name of [before, other]) {
    await expect(change(name, { spec: { nodes: { matchLabels: { a: 'b' } } } })).rejects.toThrow(refused)
    await change(name, { metadata: { labels: { a: 'b' } } })
    await change(name, { spec: { nodes: null } })
  }
  const { apiVersion, kind } = nixBuilds
  const selecting = { apiVersion, kind, metadata: { namespace, name: randomUUID() }, spec: { ...SPEC, nodes: NODES } }
  const asMember = ['--as=member', '--as-group=image-team', '--as-group=system:masters']
  await cluster.kubectl(['create', ...asMember, '--filename=-'], { input: JSON.stringify(selecting) })
})

test('the controller adds an owner to a NixBuild, whatever else its author has added', async () => {
  // One that exists: the garbage collector deletes a NixBuild whose owners are all gone.
  const { uid } = JSON.parse(
    await cluster.kubectl(['get', 'configmap', 'kube-root-ca.crt', '--namespace', namespace, '--output=json']),
  ).metadata
  const existing = { apiVersion: 'v1', kind: 'ConfigMap', name: 'kube-root-ca.crt', uid }
  const name = await create(tenant, { ownerReferences: [existing, ...owners(31)] })
  const metadata = { ownerReferences: [existing, ...owners(32)] }
  const changed = await controller.patch(nixBuilds, { namespace, name, body: { metadata } }, MERGE)
  expect(changed?.metadata.ownerReferences).toHaveLength(33)
})

async function create(kube: Kube, metadata: object, more: object = {}): Promise<string> {
  const name = `build-${randomUUID()}`
  await kube.create(nixBuilds, { namespace, name, body: { metadata, spec: { ...SPEC, ...more } } })
  return name
}

function refusal(problem: string) {
  return expect.objectContaining({ code: 'ClusterRefused', message: expect.stringContaining(problem) })
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`name-${index}`, 'x'.repeat(20)]))
}

function owners(count: number): object[] {
  const owner = { apiVersion: 'v1', kind: 'ConfigMap' }
  return Array.from({ length: count }, () => ({ ...owner, name: randomUUID(), uid: randomUUID() }))
}

/** Entries of `managedFields`. Of those with the operation Update the API server merges all but ten. */
function writes(count: number): object[] {
  return Array.from({ length: count }, (_, index) =>
    write(`manager-${index}`, { 'f:spec': { 'f:other': {} } }, 'Apply'),
  )
}

function fields(count: number): object {
  return { 'f:spec': Object.fromEntries(Object.keys(many(count)).map(name => [`f:${name}`, {}])) }
}

function write(manager: string, fieldsV1: object, operation: 'Apply' | 'Update' = 'Update'): object {
  const time = '2026-01-01T00:00:00Z'
  return { manager, operation, apiVersion: nixBuilds.apiVersion, time, fieldsType: 'FieldsV1', fieldsV1 }
}
