import { cp, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Kind, Kube } from '../../kube/client/contract.ts'
import { type OwnCluster, startCluster } from '../cluster/cluster.ts'
import { readTested } from '../docs/code-blocks.ts'
import { configMaps } from '../kube/config-maps.ts'
import { PATIENT } from '../patience.ts'

const pods: Kind<unknown> = { ...configMaps, kind: 'Pod', plural: 'pods' }
const RECIPE = { 'enbi.hrzn.ee/nixbuild-imageTag': 'registry.example/app:1' }
const MERGE = { type: 'strategic', fieldManager: 'test' } as const
let cluster: OwnCluster
let namespace: string
let kube: Kube

beforeAll(async () => {
  cluster = await startCluster({ without: ['scheduler'] })
  kube = cluster.client()
  namespace = await cluster.createNamespace()
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

test('the policy against image updates is not part of the manifests', async () => {
  expect(await cluster.kubectl(['kustomize', 'deploy'])).not.toContain('enbi-fixed-images')
})

describe('with the component fixed-images', () => {
  beforeAll(async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'overlay-'))
    await cp('deploy', dir.path, { recursive: true })
    const overlay = join(dir.path, 'overlays/own')
    await mkdir(overlay)
    const component = await readTested('join-a-cluster.md', ['component'])
    await writeFile(join(overlay, 'kustomization.yaml'), `resources: [../../base]\n${component}`)
    await cluster.kubectl(['apply', '--validate=strict', '--kustomize', overlay])
    const name = await create('probe', RECIPE)
    let tag = 1
    const update = () => {
      tag += 1
      return setImage(name, `registry.example/app:${tag}`)
    }
    // An API server applies a new admission policy only after a moment.
    await vi.waitFor(() => expect(update()).rejects.toThrow(/enbi-fixed-images/), PATIENT)
  })

  test.each([
    ['its containers', 'containers', 'main'],
    ['its init containers', 'initContainers', 'first'],
  ])('nobody changes the image of %s in an annotated Pod', async (_, list, container) => {
    const name = await create(list.toLowerCase(), RECIPE)
    const body = { spec: { [list]: [{ name: container, image: 'registry.example/app:2' }] } }
    await expect(kube.patch(pods, { namespace, name, body }, MERGE)).rejects.toThrow(
      new RegExp(`the container ${container} would stop until Nix has built registry.example/app:2`),
    )
  })

  test('nobody changes an image and removes the annotations in one request', async () => {
    const name = await create('removed', RECIPE)
    const annotations = { 'enbi.hrzn.ee/nixbuild-imageTag': null }
    const body = { metadata: { annotations }, spec: { containers: [{ name: 'main', image: 'other:1' }] } }
    await expect(kube.patch(pods, { namespace, name, body }, MERGE)).rejects.toThrow(/enbi-fixed-images/)
  })

  test('everything else of an annotated Pod, and the image of another Pod, can be changed', async () => {
    const annotated = await create('labelled', RECIPE)
    const body = { metadata: { labels: { some: 'label' }, annotations: { some: 'text' } } }
    await kube.patch(pods, { namespace, name: annotated, body }, MERGE)
    await setImage(await create('plain', {}), 'other:1')
  })
})

async function create(name: string, annotations: Readonly<Record<string, string>>): Promise<string> {
  const image = 'registry.example/app:1'
  const spec = { containers: [{ name: 'main', image }], initContainers: [{ name: 'first', image }] }
  await kube.create(pods, { namespace, name, body: { metadata: { annotations }, spec } })
  return name
}

function setImage(name: string, image: string): Promise<unknown> {
  const body = { spec: { containers: [{ name: 'main', image }] } }
  return kube.patch(pods, { namespace, name, body }, MERGE)
}
