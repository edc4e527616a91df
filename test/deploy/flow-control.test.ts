import { expect, test } from 'vitest'
import { leases, microTime } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimFieldManager, shimLeaseName } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { startCluster } from '../cluster/cluster.ts'
import { PATIENT } from '../patience.ts'

const node = 'worker-1'

test('shims renew their Leases while all of their other requests are held back', async () => {
  await using cluster = await startCluster({ without: ['scheduler'] })
  await cluster.installDeploy()
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: 'enbi-shim', node })
  const kube = cluster.client(await cluster.kubeconfig({ token }))
  const list = () => kube.list(nixBuilds, { namespace: 'default' }, () => {}, { timeoutMs: 3_000 })
  await list()

  const level = ['prioritylevelconfiguration', 'enbi-shims']
  const nothing = {
    spec: {
      limited: {
        nominalConcurrencyShares: 0,
        lendablePercent: 0,
        borrowingLimitPercent: 0,
        limitResponse: { type: 'Reject', queuing: null },
      },
    },
  }
  await cluster.kubectl(['patch', ...level, '--type=merge', `--patch=${JSON.stringify(nothing)}`])
  await expect
    .poll(() => list().catch(({ message }) => message), PATIENT)
    .toMatch(/^cannot list nixbuilds in default now/)

  const lease = { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) }
  const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime: microTime(new Date()) }
  await kube.create(leases, { ...lease, body: { spec } })
  const renewed = await kube.patch(
    leases,
    { ...lease, body: { spec } },
    { type: 'merge', fieldManager: shimFieldManager(node) },
  )
  expect(renewed?.spec.holderIdentity).toBe(node)
  await expect(list()).rejects.toMatchObject({ code: 'ClusterAway' })
})
