import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ASSIGNED_BYTES } from '../../controller/plan/plan-nixnode.ts'
import { sizeOfAssigned } from '../../controller/views/nixnode.ts'
import type { Kube } from '../../kube/client/contract.ts'
import {
  NIXNODE_LIMITS,
  type NixNodeSpec,
  NODE_BUILD_STATES,
  type NodeBuild,
  nixNodes,
} from '../../kube/resources/nixnode.ts'
import { createNodeBuilds } from '../../shim/cluster/builds/node-builds.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { failed, requestOf } from '../shim/cluster/builds/runs.ts'
import { pathsIn, properties } from './crd-schema.ts'
import { FULL_NODE_SPEC, FULL_NODE_STATUS } from './nixnodes.ts'

const STATUS = { type: 'merge', subresource: 'status', fieldManager: 'test' } as const
const [ENTRY] = FULL_NODE_STATUS.builds
const [ASSIGNED] = FULL_NODE_SPEC.assigned
const made: string[] = []
let cluster: Cluster
let kube: Kube

beforeAll(async () => {
  cluster = await useCluster()
  kube = cluster.client()
})

afterAll(async () => {
  for (const name of made) await kube.delete(nixNodes, { name })
  await cluster?.[Symbol.asyncDispose]()
})

describe('the CRD of NixNodes agrees with the types of the project:', () => {
  test('the API server accepts and keeps every field of the types', async () => {
    const name = newName()
    const { apiVersion, kind } = nixNodes
    const object = { apiVersion, kind, metadata: { name }, spec: FULL_NODE_SPEC }
    await strictly('create', object)
    const { metadata } = await get(name)
    const { resourceVersion } = metadata
    await strictly(
      'replace',
      { ...object, metadata: { name, resourceVersion }, status: FULL_NODE_STATUS },
      '--subresource=status',
    )
    expect(await get(name)).toMatchObject({ spec: FULL_NODE_SPEC, status: FULL_NODE_STATUS })
  })

  test('the types have every field of the CRD', () => {
    const metadata = { name: 'a', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
    const { spec, status } = nixNodes.parse({ metadata, spec: FULL_NODE_SPEC, status: FULL_NODE_STATUS })
    const paths = [...properties('nixnodes')].map(({ path }) => path)
    expect(pathsIn({ spec, status }).sort()).toEqual(paths.sort())
  })

  test('both have the same limits and states', () => {
    const found = new Map([...properties('nixnodes')].map(({ path, schema }) => [path, schema]))
    expect(found.get('status.builds.state')?.enum).toEqual(NODE_BUILD_STATES)
    expect({
      builds: found.get('status.builds')?.maxItems,
      message: found.get('status.builds.message')?.maxLength,
      logTail: found.get('status.builds.logTail')?.maxLength,
      progress: found.get('status.builds.progress')?.maxLength,
      pods: found.get('status.builds.pods')?.maxItems,
      assigned: found.get('spec.assigned')?.maxItems,
      letGo: found.get('spec.letGo')?.maxItems,
      namespaces: found.get('spec.namespaces')?.maxItems,
    }).toEqual(NIXNODE_LIMITS)
  })

  test('a recipe has the limits of a NixBuild', () => {
    const limits = (plural: string, prefix: string) =>
      [...properties(plural)]
        .filter(({ path }) => path.startsWith(prefix))
        .map(({ path, schema: { maxLength, maxItems, items } }) => {
          return [path.slice(prefix.length), maxLength, maxItems, items?.maxLength]
        })
        .sort()
    // The nodes that build it or have it are not part of a recipe.
    const isOfRecipe = ([name]: readonly unknown[]) => !/^(nodeSelector|nodes\b)/.test(String(name))
    const expected = limits('nixbuilds', 'spec.').filter(isOfRecipe)
    expect(expected.length).toBeGreaterThan(4)
    for (const prefix of ['spec.assigned.recipe.', 'status.builds.recipe.'])
      expect(limits('nixnodes', prefix)).toEqual(expected)
  })

  test('every field has a description, and every text and list has a limit', () => {
    for (const { path, schema } of properties('nixnodes')) {
      expect(schema.description, path).toMatch(/^\S.{10,}\.$/s)
      if (schema.type === 'array') expect(schema.maxItems, path).toBeDefined()
      const text = schema.items ?? schema
      if (text.type === 'string' && !text.enum && !text.format) expect(text.maxLength, path).toBeDefined()
    }
  })
})

describe('the API server rejects a NixNode whose', () => {
  const many = <T>(length: number, item: T) => Array.from({ length }, () => item)
  test.each<[string, object, string]>([
    ['entries are too many', { builds: many(NIXNODE_LIMITS.builds + 1, ENTRY) }, 'status.builds'],
    ['entry has no state', { builds: [{ ...ENTRY, state: undefined }] }, 'status.builds[0].state'],
    ['entry has another state', { builds: [{ ...ENTRY, state: 'Asleep' }] }, 'status.builds[0].state'],
    ['entry has an invalid time', { builds: [{ ...ENTRY, since: 'yesterday' }] }, 'status.builds[0].since'],
    ['log is too long', { builds: [{ ...ENTRY, logTail: 'x'.repeat(NIXNODE_LIMITS.logTail + 1) }] }, 'logTail'],
    ['message is too long', { builds: [{ ...ENTRY, message: 'x'.repeat(NIXNODE_LIMITS.message + 1) }] }, 'message'],
    [
      'waiting pods are too many',
      { builds: [{ ...ENTRY, pods: many(NIXNODE_LIMITS.pods + 1, { name: 'a', uid: 'u' }) }] },
      'pods',
    ],
  ])('%s', async (_, status, field) => {
    const name = await create({})
    await expect(kube.patch(nixNodes, { name, body: { status } }, STATUS)).rejects.toThrow(refusal(field))
  })

  test.each<[string, object, string]>([
    ['assigned builds are too many', { assigned: many(NIXNODE_LIMITS.assigned + 1, ASSIGNED) }, 'spec.assigned'],
    ['assigned build has no recipe', { assigned: [{ ...ASSIGNED, recipe: undefined }] }, 'spec.assigned[0].recipe'],
    ['UIDs of pods are too many', { letGo: many(NIXNODE_LIMITS.letGo + 1, 'u') }, 'spec.letGo'],
    ['namespaces are too many', { namespaces: many(NIXNODE_LIMITS.namespaces + 1, 'a') }, 'spec.namespaces'],
  ])('%s', async (_, spec, field) => {
    await expect(create({ spec })).rejects.toThrow(refusal(field))
  })
})

describe('the API server stores a NixNode', () => {
  test('with the longest spec that the controller writes and the longest status that a shim writes', async () => {
    const { assigned, letGo, namespaces } = longestSpec()
    const name = await create({ spec: { assigned, letGo, namespaces } })
    const builds = failedBuilds()
    expect(builds.length).toBeGreaterThan(5)
    await kube.patch(nixNodes, { name, body: { status: { ...FULL_NODE_STATUS, builds } } }, STATUS)
    expect((await get(name)).status.builds).toHaveLength(builds.length)
  })
})

describe('kubectl', () => {
  test.each(['nixnode', 'nixnodes', 'nn'])('get %s prints the first image that the node builds', async resource => {
    const name = await create({})
    const builds = [
      { ...ENTRY, state: 'Building', recipe: { ...ENTRY?.recipe, imageTag: 'one:1' } },
      { ...ENTRY, state: 'Present', recipe: undefined },
      { ...ENTRY, state: 'Building', recipe: { ...ENTRY?.recipe, imageTag: 'two:1' } },
    ]
    await kube.patch(nixNodes, { name, body: { status: { ...FULL_NODE_STATUS, builds } } }, STATUS)
    const [header, line] = (await cluster.kubectl(['get', resource, name])).split('\n')
    expect(header?.split(/ {2,}/)).toEqual(['NAME', 'SYSTEM', 'LAYERS', 'BUILDING', 'AGE'])
    expect(line?.split(/ {2,}/)).toEqual([
      ...[name, 'x86_64-linux', 'linked', 'one:1'],
      expect.stringMatching(/^\d+s$/),
    ])
  })
})

function longestSpec(): NixNodeSpec {
  const contents = Array.from({ length: 128 }, (_, index) => `${'x'.repeat(28)}${index}`)
  const recipe = { flakeUrl: 'github:team/app', imageTag: 'app:1', contents, system: 'x86_64-linux' }
  const size = sizeOfAssigned({ key: `team/${'n'.repeat(253)}`, recipe })
  const assigned = Array.from({ length: ASSIGNED_BYTES.written / size }, (_, index) => ({
    ...{ namespace: 'team', name: `${'n'.repeat(249)}${index}`, key: '0'.repeat(64), recipe },
  }))
  return {
    assigned,
    letGo: Array.from({ length: NIXNODE_LIMITS.letGo }, () => randomUUID()),
    namespaces: Array.from({ length: NIXNODE_LIMITS.namespaces }, (_, index) => `${'a'.repeat(59)}${index}`),
  }
}

/** What a shim reports of builds that fail with a log of characters that the API server stores as six bytes each. */
function failedBuilds(): readonly NodeBuild[] {
  const node = createNodeBuilds({ node: 'node-1', now: Date.now, onPresent: () => {} })
  for (let tag = 0; tag < NIXNODE_LIMITS.builds; tag += 1) {
    const request = requestOf('web', { tag })
    const outcome = { message: '<'.repeat(2000), logTail: '<'.repeat(5000) }
    node.join(request)
    node.conclude(request, failed(outcome))
    node.leave(request)
  }
  return node.snapshot().builds
}

function newName(): string {
  const name = `crd-${randomUUID()}`
  made.push(name)
  return name
}

async function create(body: object): Promise<string> {
  const name = newName()
  await kube.create(nixNodes, { name, body })
  return name
}

async function get(name: string) {
  const found = await kube.get(nixNodes, { name })
  if (!found) throw new Error(`there is no ${name}`)
  return found
}

async function strictly(verb: 'create' | 'replace', object: object, ...flags: readonly string[]): Promise<void> {
  const input = JSON.stringify(object)
  await cluster.kubectl([verb, '--validate=strict', ...flags, '--filename=-'], { input })
}

function refusal(about: string) {
  return expect.objectContaining({ code: 'ClusterRefused', message: expect.stringContaining(about) })
}
