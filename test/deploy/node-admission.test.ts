import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Kube } from '../../kube/client/contract.ts'
import { CONTROLLER, NODE_LABEL, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { PATIENT } from '../patience.ts'
import { SPEC } from './nixbuilds.ts'

const GIVEN = { labels: { [NODE_LABEL]: 'control-plane' } }
const REFUSAL = expect.objectContaining({
  code: 'ClusterRefused',
  message: expect.stringContaining('needs the verb assign'),
})
let cluster: Cluster
let namespace: string
let admin: Kube
/** A user with the role `edit`, which allows creating and changing NixBuilds. */
let author: Kube

beforeAll(async () => {
  cluster = await useCluster()
  namespace = await cluster.createNamespace()
  admin = cluster.client()
  await cluster.kubectl([
    'create',
    'rolebinding',
    'author',
    `--namespace=${namespace}`,
    '--clusterrole=enbi-nixbuilds-edit',
    '--user=author',
  ])
  author = cluster.client(await cluster.kubeconfig({ name: 'author', groups: [] }))
  // An API server applies a new admission policy only after a moment.
  await vi.waitFor(() => expect(create(author, GIVEN)).rejects.toThrow(REFUSAL), PATIENT)
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

describe('a user who may create NixBuilds may not', () => {
  test('create one that is assigned to a node', async () => {
    await expect(create(author, GIVEN)).rejects.toThrow(REFUSAL)
  })

  test('assign an existing one to a node, or to another node', async () => {
    const name = await create(author, {})
    await expect(label(author, name, 'control-plane')).rejects.toThrow(REFUSAL)
    await label(admin, name, 'worker')
    await expect(label(author, name, 'control-plane')).rejects.toThrow(REFUSAL)
  })
})

describe('a user who may create NixBuilds may', () => {
  test('change the other labels of one, whether it is assigned or not', async () => {
    const name = await create(author, { labels: { app: 'web' } })
    await label(admin, name, 'worker')
    const metadata = { labels: { app: 'shop' } }
    await author.patch(nixBuilds, { namespace, name, body: { metadata } }, MERGE)
    // The project's own client does not keep labels of others.
    const changed = await cluster.read(`/apis/enbi.hrzn.ee/v1alpha1/namespaces/${namespace}/nixbuilds/${name}`)
    expect(changed).toMatchObject({ metadata: { labels: { app: 'shop', [NODE_LABEL]: 'worker' } } })
  })

  test('take one away from its node, after which the controller assigns it again', async () => {
    const name = await create(author, {})
    await label(admin, name, 'worker')
    expect((await label(author, name, null))?.metadata.labels).toEqual({})
  })
})

test('the controller may assign NixBuilds to nodes', async () => {
  const name = await create(author, {})
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: CONTROLLER })
  const controller = cluster.client(await cluster.kubeconfig({ token }))
  expect((await label(controller, name, 'worker'))?.metadata.labels).toEqual({ [NODE_LABEL]: 'worker' })
})

const MERGE = { type: 'merge', fieldManager: 'test' } as const

async function create(kube: Kube, metadata: object): Promise<string> {
  const name = `build-${randomUUID()}`
  await kube.create(nixBuilds, { namespace, name, body: { metadata, spec: SPEC } })
  return name
}

function label(kube: Kube, name: string, node: string | null) {
  return kube.patch(nixBuilds, { namespace, name, body: { metadata: { labels: { [NODE_LABEL]: node } } } }, MERGE)
}
