import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createKube } from '../../kube/client.ts'
import type { Kube } from '../../kube/contract.ts'
import { NODE_LABEL } from '../../kube/names.ts'
import { nixBuilds } from '../../kube/nixbuild.ts'
import { PATIENT } from '../patience.ts'
import { type Deployed, startDeployed } from './deployed.ts'
import { SPEC } from './nixbuilds.ts'

const namespace = 'default'
const GIVEN = { labels: { [NODE_LABEL]: 'control-plane' } }
const REFUSAL = expect.objectContaining({
  code: 'ClusterRefused',
  message: expect.stringContaining('needs the verb assign'),
})
let deployed: Deployed
/** May make and change NixBuilds, as the role `edit` lets people do. */
let author: Kube

beforeAll(async () => {
  deployed = await startDeployed()
  const { cluster } = deployed
  await cluster.kubectl([
    'create',
    'clusterrolebinding',
    'author',
    '--clusterrole=enbi-nixbuilds-edit',
    '--user=author',
  ])
  author = createKube({ kubeconfig: await cluster.kubeconfig({ name: 'author', groups: [] }) })
  // An API server takes a moment to heed a new admission policy.
  await vi.waitFor(() => expect(create(author, GIVEN)).rejects.toThrow(REFUSAL), PATIENT)
  return () => author.close()
})

afterAll(() => deployed?.[Symbol.asyncDispose]())

describe('who makes a NixBuild may not', () => {
  test('give it to a node', async () => {
    await expect(create(author, GIVEN)).rejects.toThrow(REFUSAL)
  })

  test('give it to a node afterwards, or to another', async () => {
    const name = await create(author, {})
    await expect(label(author, name, 'control-plane')).rejects.toThrow(REFUSAL)
    await label(deployed.kube, name, 'worker')
    await expect(label(author, name, 'control-plane')).rejects.toThrow(REFUSAL)
  })
})

describe('who makes a NixBuild may', () => {
  test('change its other labels, given or not', async () => {
    const name = await create(author, { labels: { app: 'web' } })
    await label(deployed.kube, name, 'worker')
    const metadata = { labels: { app: 'shop' } }
    const changed = await author.patch(nixBuilds, { namespace, name, body: { metadata } }, MERGE)
    expect(changed?.metadata.labels).toEqual({ app: 'shop', [NODE_LABEL]: 'worker' })
  })

  test('take it from its node: the controller gives it anew', async () => {
    const name = await create(author, {})
    await label(deployed.kube, name, 'worker')
    expect((await label(author, name, null))?.metadata.labels).toEqual({})
  })
})

test('the controller gives NixBuilds to nodes', async () => {
  const name = await create(author, {})
  const controller = await deployed.as('enbi-controller')
  expect((await label(controller.kube, name, 'worker'))?.metadata.labels).toEqual({ [NODE_LABEL]: 'worker' })
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
