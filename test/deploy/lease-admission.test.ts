import { afterAll, beforeAll, expect, test } from 'vitest'
import { leases } from '../../kube/lease.ts'
import { type Deployed, type Member, startDeployed } from './deployed.ts'

const REFUSAL = expect.objectContaining({
  code: 'ClusterRefused',
  message: expect.stringMatching(/ValidatingAdmissionPolicy .*its own Lease/s),
})
let deployed: Deployed
/** The shim of node a. */
let shim: Member

beforeAll(async () => {
  deployed = await startDeployed()
  shim = await deployed.as('enbi-shim', 'a')
})

afterAll(() => deployed?.[Symbol.asyncDispose]())

test('the shim of a may have its own Lease', async () => {
  const lease = { namespace: 'enbi-system', name: 'enbi-shim-a', body: { spec: { holderIdentity: 'a' } } }
  await shim.kube.create(leases, lease)
  await shim.kube.patch(leases, lease, { type: 'merge', fieldManager: 'a' })
})

test.each(['enbi-shim-b', 'enbi-controller', 'enbi-shim'])('the shim of a may not have the Lease %s', async name => {
  const lease = { namespace: 'enbi-system', name, body: { spec: { holderIdentity: 'a' } } }
  await expect(shim.kube.create(leases, lease)).rejects.toThrow(REFUSAL)
  await deployed.kube.create(leases, { ...lease, body: { spec: { holderIdentity: 'b' } } })
  const renewal = shim.kube.patch(leases, lease, { type: 'merge', fieldManager: 'a' })
  await expect(renewal).rejects.toThrow(REFUSAL)
})
