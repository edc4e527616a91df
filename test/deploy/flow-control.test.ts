import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { expect, test } from 'vitest'
import { leases, microTime } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimFieldManager, shimLeaseName } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { messageOf } from '../../lib/errors.ts'
import { type Cluster, startCluster } from '../cluster/cluster.ts'
import { PATIENCE_MS, PATIENT } from '../patience.ts'

const node = 'worker-1'
const lease = { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) }
const EVENTS = '/api/v1/namespaces/default/events'
const LIST = '/apis/enbi.hrzn.ee/v1alpha1/namespaces/default/nixbuilds'

test('shims renew their Leases, and the controller works, while all other requests of shims are throttled', async () => {
  await using cluster = await startCluster({ without: ['controllerManager', 'scheduler'] })
  await cluster.installDeploy()
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
  const shim = await member(cluster, 'enbi-shim', node)
  const controller = await member(cluster, 'enbi-controller')
  const list = () => statusOf(send(cluster, shim.token, { path: LIST }))
  await expect.poll(list, PATIENT).toBe(200)

  await allowNothing(cluster)
  // The API server lets one request through, whatever the limit: it waits for this one's body, unless it refuses it, too.
  let stuck = sendNoBody(cluster, shim.token)
  const whileStuck = async <Result>(task: () => Promise<Result>) => {
    if (stuck.isOver()) stuck = sendNoBody(cluster, shim.token)
    return task()
  }
  await expect.poll(() => whileStuck(list), PATIENT).toBe(429)

  const spec = { holderIdentity: node, leaseDurationSeconds: 240, renewTime: microTime(new Date()) }
  await shim.kube.create(leases, { ...lease, body: { spec } })
  const patch = { type: 'merge', fieldManager: shimFieldManager(node) } as const
  expect((await shim.kube.patch(leases, { ...lease, body: { spec } }, patch))?.spec.holderIdentity).toBe(node)
  await controller.kube.list(nixBuilds, {}, () => {})
  // Less than the answer says, so the client does not ask again.
  const listSoon = () => shim.kube.list(nixBuilds, {}, () => {}, { timeoutMs: 900 }).catch(messageOf)
  await expect.poll(() => whileStuck(listSoon), PATIENT).toMatch(/Too many requests/)

  // The client waits for as long as the answer says, and asks again.
  const patient = shim.kube.list(nixBuilds, {}, () => {}, { timeoutMs: PATIENCE_MS })
  expect(await list()).toBe(429)
  await stuck.end()
  expect(await patient).toMatch(/^\d+$/)
})

/** The client of an account in enbi-system. */
async function member(cluster: Cluster, serviceAccount: string, node?: string) {
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount, ...(node && { node }) })
  return { token, kube: cluster.client(await cluster.kubeconfig({ token })) }
}

function allowNothing(cluster: Cluster): Promise<string> {
  const limitResponse = { type: 'Reject', queuing: null }
  const limited = { nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse }
  const patch = `--patch=${JSON.stringify({ spec: { limited } })}`
  return cluster.kubectl(['patch', 'prioritylevelconfiguration', 'enbi-shims', '--type=merge', patch])
}

interface Sent {
  readonly path: string
  readonly method?: string
  /** Length of a body that never comes. */
  readonly length?: number
}

/** A request whose body never comes. */
function sendNoBody(cluster: Cluster, token: string) {
  const sent = send(cluster, token, { path: EVENTS, method: 'POST', length: 100 })
  let isOver = false
  const over = statusOf(sent)
    .catch(() => {})
    .then(() => {
      isOver = true
    })
  return {
    isOver: () => isOver,
    async end() {
      sent.destroy()
      await over
    },
  }
}

/** Without the project's client, which would wait and ask again. */
function send({ access }: Cluster, token: string, { path, method = 'GET', length }: Sent): ClientRequest {
  const body = length !== undefined && { 'content-type': 'application/json', 'content-length': length }
  const headers = { authorization: `Bearer ${token}`, ...body }
  const sent = request(new URL(path, access.server), { ca: access.certificate, method, headers, agent: false })
  if (length === undefined) sent.end()
  else sent.flushHeaders()
  return sent
}

async function statusOf(sent: ClientRequest): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  sent.once('response', resolve).once('error', reject)
  const answer = await promise
  answer.resume()
  return answer.statusCode ?? 0
}
