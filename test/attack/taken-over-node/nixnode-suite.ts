import { describe, expect, test } from 'vitest'
import { leases } from '../../../kube/resources/lease.ts'
import { NIXNODE_LIMITS, type NixNodeStatus, nixNodes } from '../../../kube/resources/nixnode.ts'
import { FULL_NODE_SPEC, FULL_NODE_STATUS } from '../../deploy/nixnodes.ts'
import { PATIENT } from '../../patience.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

const STATUS = { type: 'merge', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
const OWNER = { apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'u' }
const own = { name: 'a' }

/** Attempts to write NixNodes with the token of node a, or with tokens of no node. */
export function nixNodeSuite({ deployed, shim }: TakenOverNode): void {
  const create = (body: object, name = 'a') => shim().kube.create(nixNodes, { name, body })
  const write = (status: object, name = 'a') => shim().kube.patch(nixNodes, { name, body: { status } }, STATUS)

  describe('the shim of a may not', () => {
    test('create the NixNode of another node', async () => {
      await expect(create({}, 'b')).rejects.toThrow(refusal('its own NixNode'))
    })

    test.each<[string, object, string]>([
      ['give builds to itself', { spec: FULL_NODE_SPEC }, 'empty spec'],
      ['look up recipes in no namespace', { spec: { namespaces: [] } }, 'empty spec'],
      ['keep its NixNode from being deleted', { metadata: { finalizers: ['example.org/forever'] } }, 'metadata'],
      ['delete its NixNode with another object', { metadata: { ownerReferences: [OWNER] } }, 'metadata'],
      ['fill the API server with labels', { metadata: { labels: { more: 'labels' } } }, 'metadata'],
      ['fill the API server with annotations', { metadata: { annotations: { big: 'x'.repeat(100_000) } } }, 'metadata'],
      ['fill the API server with records of writers', { metadata: { managedFields: writes(50) } }, 'managedFields'],
      ['fill the API server with records of fields', { metadata: { managedFields: [largeWrite()] } }, 'managedFields'],
    ])('create its NixNode in order to %s', async (_, body, problem) => {
      await expect(create(body)).rejects.toThrow(refusal(problem))
      expect(await deployed().kube.get(nixNodes, own)).toBeUndefined()
    })
  })

  test('the shim of a may create its NixNode, without a status, and write the longest status', async () => {
    const created = await create({ spec: {}, status: FULL_NODE_STATUS })
    expect({ spec: created.spec, builds: created.status.builds }).toMatchObject({ spec: { assigned: [] }, builds: [] })
    const status: NixNodeStatus = { ...FULL_NODE_STATUS, builds: entries(NIXNODE_LIMITS.builds, 'x'.repeat(256)) }
    const written = await write(status)
    expect(written?.status).toEqual(status)
  })

  describe('the shim of a may not', () => {
    test('write the status of another node', async () => {
      await deployed().kube.create(nixNodes, { name: 'b', body: {} })
      await expect(write({ system: 'x86_64-linux' }, 'b')).rejects.toThrow(refusal('its own NixNode'))
    })

    test('change its spec, labels, annotations, finalizers and owners by writing its status', async () => {
      const read = async () => {
        const found = await deployed().kube.get(nixNodes, own)
        return { spec: found?.spec, metadata: { ...found?.metadata, resourceVersion: '' } }
      }
      const before = await read()
      const bag = { some: 'text' }
      const metadata = { labels: bag, annotations: bag, finalizers: ['example.org/a'], ownerReferences: [OWNER] }
      const body = { metadata, spec: FULL_NODE_SPEC, status: { system: 'aarch64-linux' } }
      expect((await shim().kube.patch(nixNodes, { ...own, body }, STATUS))?.status.system).toBe('aarch64-linux')
      expect(await read()).toEqual(before)
    })

    test('grow its NixNode with ever more field managers', async () => {
      const body = { status: { system: 'x86_64-linux' } }
      const asOther = shim().kube.patch(nixNodes, { ...own, body }, { ...STATUS, fieldManager: 'another' })
      await expect(asOther).rejects.toThrow(refusal('field manager'))
    })

    test('fill the memory of the controller with long texts', async () => {
      const builds = entries(NIXNODE_LIMITS.builds, 'x'.repeat(NIXNODE_LIMITS.logTail))
      await expect(write({ builds })).rejects.toThrow(refusal('characters'))
      const contents = Array.from({ length: 128 }, () => 'x'.repeat(256))
      const recipes = entries(40, '').map(entry => ({ ...entry, recipe: { ...entry.recipe, contents } }))
      await expect(write({ builds: recipes })).rejects.toThrow(refusal('characters'))
      const pods = Array.from({ length: NIXNODE_LIMITS.pods }, () => ({ name: '', uid: '' }))
      const crowded = entries(100, '').map(entry => ({ ...entry, pods }))
      await expect(write({ builds: crowded })).rejects.toThrow(refusal('characters'))
    })
  })

  test('a token of the shim that is not bound to a node may not write anything', async () => {
    const { kube } = await deployed().as('enbi-shim')
    const problem = refusal('bound to no Node')
    await expect(kube.create(nixNodes, { name: 'unbound', body: {} })).rejects.toThrow(problem)
    await expect(kube.patch(nixNodes, { ...own, body: { status: {} } }, STATUS)).rejects.toThrow(problem)
    for (const name of ['enbi-shim', 'enbi-shim-a']) {
      const lease = { namespace: 'enbi-system', name, body: {} }
      await expect(kube.create(leases, lease)).rejects.toThrow(problem)
    }
  })

  test('a token of the shim becomes invalid when its node is deleted', async () => {
    const lost = await deployed().as('enbi-shim', 'lost')
    expect(await lost.kube.get(nixNodes, { name: 'lost' })).toBeUndefined()
    await deployed().cluster.kubectl(['delete', 'node', 'lost'])
    const ask = () => lost.kube.get(nixNodes, { name: 'lost' }).catch(error => error)
    // The API server caches the identity of a token for some seconds.
    await expect.poll(ask, PATIENT).toMatchObject({ code: 'ClusterAway', message: /Unauthorized/ })
  })

  test('the admission policies of shims do not apply to administrators', async () => {
    const metadata = { labels: { some: 'label' } }
    const admin = { type: 'merge', fieldManager: 'admin' } as const
    const changed = await deployed().kube.patch(nixNodes, { ...own, body: { metadata } }, admin)
    expect(changed?.metadata.labels).toEqual(metadata.labels)
    await write({ system: 'x86_64-linux' })
  })
}

function entries(count: number, logTail: string): NixNodeStatus['builds'] {
  const [entry] = FULL_NODE_STATUS.builds
  return entry ? Array.from({ length: count }, () => ({ ...entry, logTail })) : []
}

/** Entries of `managedFields`. */
function writes(count: number): object[] {
  return Array.from({ length: count }, (_, index) => write(`manager-${index}`, { 'f:spec': {} }))
}

function largeWrite(): object {
  return write('enbi', { 'f:spec': Object.fromEntries(writes(10_000).map((_, index) => [`f:field-${index}`, {}])) })
}

function write(manager: string, fieldsV1: object): object {
  const time = '2026-01-01T00:00:00Z'
  return { manager, operation: 'Update', apiVersion: nixNodes.apiVersion, time, fieldsType: 'FieldsV1', fieldsV1 }
}
