import { describe, expect, test } from 'vitest'
import { leases } from '../../../kube/resources/lease.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

const namespace = 'enbi-system'
const MERGE = { type: 'merge', fieldManager: 'enbi-shim-a' } as const
const SPEC = { holderIdentity: 'a', leaseDurationSeconds: 40 }

/** Attempts to write Leases with the token of node a. */
export function leaseSuite({ deployed, shim }: TakenOverNode): void {
  const own = { namespace, name: 'enbi-shim-a' }

  test('the shim of a may create its own Lease, and renew it after somebody has labelled it', async () => {
    await shim().kube.create(leases, { ...own, body: { spec: SPEC } })
    const labelled = { ...own, body: { metadata: { labels: { some: 'label' } } } }
    await deployed().kube.patch(leases, labelled, { type: 'merge', fieldManager: 'admin' })
    await shim().kube.patch(leases, { ...own, body: { spec: SPEC } }, MERGE)
  })

  describe('the shim of a may not', () => {
    test.each(['enbi-shim-b', 'enbi-controller', 'enbi-shim'])('create the Lease %s', async name => {
      const lease = { namespace, name, body: { spec: SPEC } }
      await expect(shim().kube.create(leases, lease)).rejects.toThrow(refusal('its own Lease'))
      await deployed().kube.create(leases, { ...lease, body: { spec: { ...SPEC, holderIdentity: 'b' } } })
      await expect(shim().kube.patch(leases, lease, MERGE)).rejects.toThrow(refusal('its own Lease'))
    })

    test.each<[string, object, string]>([
      ['count as alive for a year by a long duration', { spec: { leaseDurationSeconds: 31_536_000 } }, 'seconds'],
      ['create a Lease without a duration', { spec: { leaseDurationSeconds: null } }, 'seconds'],
      ['hold its Lease in the name of another node', { spec: { holderIdentity: 'b' } }, 'holder'],
      ['prevent the deletion of its Lease', { metadata: { finalizers: ['example.org/forever'] } }, 'metadata'],
      ['fill the API server with annotations', { metadata: { annotations: { big: 'x'.repeat(100_000) } } }, 'metadata'],
      ['fill the API server with labels', { metadata: { labels: { more: 'labels' } } }, 'metadata'],
      [
        'give its Lease an owner',
        { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'u' }] } },
        'metadata',
      ],
    ])('%s', async (_, body, problem) => {
      await expect(shim().kube.patch(leases, { ...own, body }, MERGE)).rejects.toThrow(refusal(problem))
    })

    test('grow its Lease with ever more field managers', async () => {
      const renewal = { ...own, body: { spec: { ...SPEC, leaseDurationSeconds: 41 } } }
      const asOther = shim().kube.patch(leases, renewal, { type: 'merge', fieldManager: 'another' })
      await expect(asOther).rejects.toThrow(refusal('field manager'))
    })
  })
}
