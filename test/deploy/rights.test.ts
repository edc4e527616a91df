import { pino } from 'pino'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Kind } from '../../kube/client/contract.ts'
import { heartbeat } from '../../kube/heartbeat.ts'
import { eventBody, eventName, events } from '../../kube/resources/event.ts'
import { leases } from '../../kube/resources/lease.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import { configMaps } from '../kube/config-maps.ts'
import { PATIENT } from '../patience.ts'
import { type Deployed, type Member, startDeployed } from './deployed.ts'
import { SPEC } from './nixbuilds.ts'

const NOT_ALLOWED = expect.objectContaining({
  code: 'ClusterRefused',
  message: expect.stringMatching(/is forbidden: User "system:serviceaccount:enbi-system:enbi-\w+" cannot/),
})
const pods: Kind<unknown> = { ...configMaps, kind: 'Pod', plural: 'pods' }
const nodes: Kind<unknown> = { ...configMaps, kind: 'Node', plural: 'nodes', namespaced: false }
const secrets: Kind<unknown> = { ...configMaps, kind: 'Secret', plural: 'secrets' }
const POD = { spec: { containers: [{ name: 'c', image: 'i' }] } }
const CONTROLLER = rights({
  nixbuilds: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  'nixbuilds/status': ['patch'],
  nixnodes: ['list', 'watch', 'patch', 'delete'],
  pods: ['get', 'list', 'watch'],
  'pods/status': ['patch'],
  nodes: ['list', 'watch', 'patch'],
  events: ['create', 'patch'],
})
const CONTROLLER_LEASES = rights({ leases: ['get', 'list', 'watch', 'create', 'update', 'delete'] })
const CONTROLLER_CLAIMS = rights({ leases: ['list', 'create', 'delete'] })
const SHIM = rights({
  nixbuilds: ['get', 'list'],
  nixnodes: ['get', 'list', 'watch', 'create'],
  'nixnodes/status': ['patch'],
  events: ['create', 'patch'],
})
const SHIM_LEASES = rights({ leases: ['create', 'patch'] })
const SHIM_CLAIMS = rights({ leases: ['get', 'watch', 'create', 'patch'] })
const MERGE = { type: 'merge', fieldManager: 'test' } as const
const name = { namespace: 'default', name: 'one' }
let deployed: Deployed
let shim: Member
let controller: Member

beforeAll(async () => {
  deployed = await startDeployed({ 'enable-admission-plugins': 'OwnerReferencesPermissionEnforcement' })
  shim = await deployed.as('enbi-shim', 'node-1')
  controller = await deployed.as('enbi-controller')
  await deployed.kube.create(nixBuilds, { ...name, body: { spec: SPEC } })
  const serviceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: name }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: name, spec: { serviceAccountName: 'one', ...POD.spec } }
  await deployed.cluster.apply(serviceAccount, pod)
})

afterAll(() => deployed?.[Symbol.asyncDispose]())

describe('an account has exactly the documented rights:', () => {
  test.each([
    ['the shim', () => shim, 'default', SHIM],
    ['the shim in enbi-system', () => shim, 'enbi-system', [...SHIM, ...SHIM_LEASES]],
    ['the shim in enbi-claims', () => shim, 'enbi-claims', [...SHIM, ...SHIM_CLAIMS]],
    ['the controller', () => controller, 'default', CONTROLLER],
    ['the controller in enbi-system', () => controller, 'enbi-system', [...CONTROLLER, ...CONTROLLER_LEASES]],
    ['the controller in enbi-claims', () => controller, 'enbi-claims', [...CONTROLLER, ...CONTROLLER_CLAIMS]],
  ])('%s', async (_, member, namespace, expected) => {
    expect(await rightsOf(member(), namespace)).toEqual([...expected].sort())
  })
})

describe('the shim may', () => {
  test('list and read NixBuilds', async () => {
    const found: string[] = []
    await shim.kube.list(nixBuilds, {}, build => found.push(build.metadata.name))
    expect(found).toContain('one')
    expect(await shim.kube.get(nixBuilds, name)).toBeDefined()
  })

  test('create its NixNode, write its status and watch it by name', async () => {
    const own = { name: 'node-1' }
    await shim.kube.create(nixNodes, { ...own, body: { spec: {} } })
    const body = { status: { system: 'x86_64-linux' } }
    const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-shim-node-1' } as const
    await shim.kube.patch(nixNodes, { ...own, body }, options)
    const ending = new AbortController()
    const watch = shim.kube.watch(nixNodes, { fieldSelector: 'metadata.name=node-1', signal: ending.signal })
    const { value } = await watch.next()
    expect(value).toMatchObject({ type: 'ADDED', object: { metadata: own, ...body } })
    ending.abort()
    await watch.return(undefined)
  })

  test('create Events and count their repetitions', async () => {
    const about = { apiVersion: 'v1', kind: 'Pod', ...name, uid: 'u' }
    const content = { about, type: 'Normal', reason: 'NixBuildStarted', message: 'm' } as const
    const body = eventBody(content, { component: 'enbi-shim', host: 'node-1', time: '2026-01-02T03:04:05Z' })
    const told = eventName(content)
    await shim.kube.create(events, { ...told, body })
    const counted = shim.kube.patch(events, { ...told, body: { count: 2 } }, { ...MERGE, fieldManager: 'enbi-shim' })
    expect(await counted).toMatchObject({ count: 2 })
  })

  test('renew its Lease', async () => {
    const lease = { namespace: 'enbi-system', name: 'enbi-shim-node-1' }
    const ending = new AbortController()
    const logged: string[] = []
    const logger = pino({}, { write: line => logged.push(line) })
    const { signal } = ending
    const beating = heartbeat({
      kube: shim.kube,
      lease,
      identity: 'node-1',
      fieldManager: 'enbi-shim-node-1',
      durationMs: 8000,
      signal,
      logger,
    })
    const renewed = async () => (await deployed.kube.get(leases, lease))?.spec.renewTime
    await expect.poll(renewed, PATIENT).toBeDefined()
    const first = await renewed()
    await expect.poll(renewed, PATIENT).not.toBe(first)
    ending.abort()
    await beating
    expect(logged).toEqual([])
  })
})

describe('the shim may not', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['list pods', () => shim.kube.list(pods, {}, () => {})],
    ['read a pod', () => shim.kube.get(pods, name)],
    ['create a pod', () => shim.kube.create(pods, { ...name, body: POD })],
    [
      "write a pod's status",
      () => shim.kube.patch(pods, { ...name, body: { status: {} } }, { ...MERGE, subresource: 'status' }),
    ],
    ['list nodes', () => shim.kube.list(nodes, {}, () => {})],
    [
      'change a node',
      () => shim.kube.patch(nodes, { name: 'node-1', body: { metadata: { labels: { a: 'b' } } } }, MERGE),
    ],
    ['read secrets', () => shim.kube.list(secrets, { namespace: 'enbi-system' }, () => {})],
    ['create a NixBuild', () => shim.kube.create(nixBuilds, { ...name, name: 'mine', body: { spec: SPEC } })],
    ['delete a NixBuild', () => shim.kube.delete(nixBuilds, name)],
    [
      "write a NixBuild's status",
      () => shim.kube.patch(nixBuilds, { ...name, body: { status: {} } }, { ...MERGE, subresource: 'status' }),
    ],
    ['change the spec of its NixNode', () => shim.kube.patch(nixNodes, { name: 'node-1', body: { spec: {} } }, MERGE)],
    ['delete its NixNode', () => shim.kube.delete(nixNodes, { name: 'node-1' })],
    [
      "change a NixBuild's labels",
      () => shim.kube.patch(nixBuilds, { ...name, body: { metadata: { labels: {} } } }, MERGE),
    ],
    [
      'create a Lease in another namespace',
      () => shim.kube.create(leases, { ...name, name: 'enbi-shim-node-1', body: {} }),
    ],
    ['delete Leases', () => shim.kube.delete(leases, { namespace: 'enbi-system', name: 'enbi-shim-node-1' })],
  ])('%s', async (_, attempt) => {
    await expect(attempt()).rejects.toThrow(NOT_ALLOWED)
  })
})

describe('the controller may', () => {
  test('write the condition of a pod and the status of a NixBuild, and delete a NixBuild', async () => {
    const conditions = [{ type: 'enbi.hrzn.ee/ImageBuilt', status: 'True' }]
    const strategic = { type: 'strategic', subresource: 'status', fieldManager: 'enbi-controller' } as const
    expect(await controller.kube.patch(pods, { ...name, body: { status: { conditions } } }, strategic)).toBeDefined()
    const build = await controller.kube.create(nixBuilds, { ...name, name: 'another', body: { spec: SPEC } })
    const status = { status: 'Pending' }
    const merge = { ...MERGE, subresource: 'status' } as const
    await controller.kube.patch(nixBuilds, { ...name, name: 'another', body: { status } }, merge)
    await controller.kube.delete(nixBuilds, { ...name, name: 'another', uid: build.metadata.uid })
  })

  test('assign builds to a node, make the Node the owner of its NixNode, and delete that', async () => {
    const { as, cluster, kube } = deployed
    const { kube: shimOfNode } = await as('enbi-shim', 'node-2')
    await shimOfNode.create(nixNodes, { name: 'node-2', body: {} })
    const spec = { assigned: [{ namespace: 'default', name: 'one', recipe: SPEC }] }
    const { metadata } = nodeSchema(await cluster.read('/api/v1/nodes/node-2'))
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'node-2', uid: metadata.uid }]
    const body = { metadata: { ownerReferences }, spec }
    const changed = await controller.kube.patch(nixNodes, { name: 'node-2', body }, MERGE)
    expect(changed).toMatchObject(body)
    await controller.kube.delete(nixNodes, { name: 'node-2' })
    expect(await kube.get(nixNodes, { name: 'node-2' })).toBeUndefined()
  })

  test('read pods, and list pods, nodes and the Leases of the shims', async () => {
    expect(await controller.kube.get(pods, name)).toBeDefined()
    for (const [kind, namespace] of [[pods], [nodes], [leases, 'enbi-system']] as const) {
      await controller.kube.list<unknown>(kind, { namespace }, () => {})
    }
  })

  test('delete the Lease of a shim', async () => {
    const lease = { namespace: 'enbi-system', name: 'enbi-shim-gone' }
    await deployed.kube.create(leases, { ...lease, body: {} })
    await controller.kube.delete(leases, lease)
    expect(await deployed.kube.get(leases, lease)).toBeUndefined()
  })
})

describe('the controller may not', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['create a pod', () => controller.kube.create(pods, { ...name, body: POD })],
    ['delete a pod', () => controller.kube.delete(pods, name)],
    ['change a pod', () => controller.kube.patch(pods, { ...name, body: { metadata: { labels: { a: 'b' } } } }, MERGE)],
    [
      "change a node's status",
      () => controller.kube.patch(nodes, { name: 'node-1', body: { status: {} } }, { ...MERGE, subresource: 'status' }),
    ],
    ['create a node', () => controller.kube.create(nodes, { name: 'node-2', body: {} })],
    ['delete a node', () => controller.kube.delete(nodes, { name: 'node-1' })],
    ['create a NixNode', () => controller.kube.create(nixNodes, { name: 'node-3', body: {} })],
    [
      "write a NixNode's status",
      () =>
        controller.kube.patch(nixNodes, { name: 'node-1', body: { status: {} } }, { ...MERGE, subresource: 'status' }),
    ],
    ['read secrets', () => controller.kube.list(secrets, { namespace: 'enbi-system' }, () => {})],
    ['list Leases in other namespaces', () => controller.kube.list(leases, {}, () => {})],
    ['delete Leases in other namespaces', () => controller.kube.delete(leases, name)],
  ])('%s', async (_, attempt) => {
    await expect(attempt()).rejects.toThrow(NOT_ALLOWED)
  })
})

function rights(resources: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(resources).flatMap(([resource, verbs]) => verbs.map(verb => `${verb} ${resource}`))
}

const nodeSchema = v.parser(v.object({ metadata: v.object({ uid: v.string() }) }))

const reviewSchema = v.object({
  status: v.object({
    resourceRules: v.array(
      v.object({ verbs: v.array(v.string()), apiGroups: v.array(v.string()), resources: v.array(v.string()) }),
    ),
  }),
})

const reviews: Kind<v.InferOutput<typeof reviewSchema>> = {
  apiVersion: 'authorization.k8s.io/v1',
  kind: 'SelfSubjectRulesReview',
  plural: 'selfsubjectrulesreviews',
  namespaced: false,
  parse: object => v.parse(reviewSchema, object),
}

/** The rights that the API server reports, without the reviews that every account may create. */
async function rightsOf({ kube }: Member, namespace: string): Promise<string[]> {
  const { status } = await kube.create(reviews, { name: 'rights', body: { spec: { namespace } } })
  const ours = status.resourceRules.filter(({ apiGroups }) => !/^auth\w+\.k8s\.io$/.test(apiGroups.join()))
  const all = ours.flatMap(({ resources, verbs }) => rights(Object.fromEntries(resources.map(name => [name, verbs]))))
  return all.sort()
}
