import { describe, expect, test } from 'vitest'
import { leases } from '../../../kube/resources/lease.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { SPEC } from '../../deploy/nixbuilds.ts'
import { PATIENT } from '../../patience.ts'
import { createNixBuildWriter, managedName, namespace } from './nixbuild-writer.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

const MANAGED = { 'app.kubernetes.io/managed-by': 'enbi-shim' }
const OWNER = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }

/** Attempts to create NixBuilds with the token of node a, or with tokens of no node. */
export function nixBuildCreationSuite(node: TakenOverNode): void {
  const { deployed, shim } = node
  const { build, create, apply } = createNixBuildWriter(node, 'creation')

  test('the shim of a may create a NixBuild for pods', async () => {
    await create({ labels: MANAGED })
  })

  describe('the shim of a may not', () => {
    test.each<[string, object, string]>([
      ["create a NixBuild in a user's name", {}, 'has the label app.kubernetes.io/managed-by=enbi-shim'],
      ["create a NixBuild in the controller's name", { labels: { ...MANAGED, ...byController() } }, 'has the label'],
      [
        'assign a NixBuild to another node',
        { labels: { ...MANAGED, 'enbi.hrzn.ee/node': 'b' } },
        'needs the verb assign',
      ],
      ['assign a NixBuild to its own node', { labels: { ...MANAGED, 'enbi.hrzn.ee/node': 'a' } }, 'needs the verb'],
      [
        'create a NixBuild that cannot be deleted',
        { labels: MANAGED, finalizers: ['example.org/forever'] },
        'finalizers',
      ],
      [
        'create a NixBuild that is deleted with another object',
        { labels: MANAGED, ownerReferences: [OWNER] },
        'nor owners',
      ],
      [
        'fill the API server with a long annotation',
        { labels: MANAGED, annotations: { big: 'x'.repeat(100_000) } },
        'annotations',
      ],
      ['fill the API server with many annotations', { labels: MANAGED, annotations: many(100) }, 'annotations'],
      ['fill the API server with labels', { labels: { ...MANAGED, ...many(100) } }, 'labels'],
      [
        'forge the record of who wrote it and when',
        { labels: MANAGED, managedFields: [forgedWrite('enbi-shim-a'), forgedWrite('enbi-controller')] },
        'other writers or times',
      ],
    ])('%s', async (_, metadata, problem) => {
      await expect(create(metadata)).rejects.toThrow(refusal(problem))
    })

    test('take the name of a NixBuild that a user would create', async () => {
      const body = { metadata: { labels: MANAGED }, spec: SPEC }
      await expect(shim().kube.create(nixBuilds, { namespace, name: 'web', body })).rejects.toThrow(refusal('name'))
    })

    test('fill the API server with the record of what it wrote', async () => {
      const body = { metadata: { labels: MANAGED }, spec: SPEC }
      const made = await shim().kube.create(nixBuilds, { namespace, name: managedName(1000), body })
      const [{ manager = '' } = {}] = made.metadata.managedFields ?? []
      const fieldsV1 = { 'f:spec': Object.fromEntries(Object.keys(many(10_000)).map(name => [`f:${name}`, {}])) }
      const { subresource, ...write } = { ...forgedWrite(manager), operation: 'Update', fieldsV1 }
      await expect(create({ labels: MANAGED, managedFields: [write] })).rejects.toThrow(
        refusal('other writers or times'),
      )
    })
  })

  test('a token of the shim that is not bound to a node may not write anything', async () => {
    const unbound = await deployed().as('enbi-shim')
    const name = await build({})
    const body = { metadata: { labels: MANAGED }, spec: SPEC }
    const problem = refusal('bound to no Node')
    await expect(unbound.kube.create(nixBuilds, { namespace, name: 'unbound', body })).rejects.toThrow(problem)
    await expect(apply(name, { status: 'Building', buildNode: 'a' }, unbound)).rejects.toThrow(problem)
    await expect(apply(name, { status: 'Building', buildNode: '' }, unbound)).rejects.toThrow(problem)
    for (const lease of ['enbi-shim', 'enbi-shim-a']) {
      await expect(unbound.kube.create(leases, { namespace: 'enbi-system', name: lease, body: {} })).rejects.toThrow(
        problem,
      )
    }
    expect(await unbound.kube.get(nixBuilds, { namespace, name })).toBeDefined()
  })

  test('a token of the shim becomes invalid when its node is deleted', async () => {
    const lost = await deployed().as('enbi-shim', 'lost')
    expect(await lost.kube.get(nixBuilds, { namespace, name: 'none' })).toBeUndefined()
    await deployed().cluster.kubectl(['delete', 'node', 'lost'])
    const ask = () => lost.kube.get(nixBuilds, { namespace, name: 'none' }).catch(error => error)
    // The API server caches the identity of a token for some seconds.
    await expect.poll(ask, PATIENT).toMatchObject({ code: 'ClusterAway', message: /Unauthorized/ })
  })
}

function byController() {
  return { 'app.kubernetes.io/managed-by': 'enbi-controller' }
}

/** An entry of `managedFields`. */
function forgedWrite(manager: string) {
  const fields = { fieldsType: 'FieldsV1', fieldsV1: { 'f:status': { 'f:progress': {} } } }
  const time = '2999-01-01T00:00:00Z'
  return { manager, operation: 'Apply', apiVersion: 'enbi.hrzn.ee/v1alpha1', subresource: 'status', time, ...fields }
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`name-${index}`, 'x']))
}
