import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NIXBUILD_LIMITS, NIXBUILD_PHASES, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { PATIENT } from '../patience.ts'
import { useCrd } from './crd-cluster.ts'
import { pathsIn, properties } from './crd-schema.ts'
import { FULL_STATUS, NODES, SET_SPEC, SPEC } from './nixbuilds.ts'

let api: Awaited<ReturnType<typeof useCrd>>

beforeAll(async () => {
  api = await useCrd()
})

afterAll(() => api?.[Symbol.asyncDispose]())

describe('the CRD agrees with the types of the project:', () => {
  test('the API server accepts and keeps every field of the types', async () => {
    const name = api.newName()
    const object = {
      apiVersion: nixBuilds.apiVersion,
      kind: nixBuilds.kind,
      metadata: { namespace: api.namespace, name },
      spec: SPEC,
    }
    await api.strictly('create', object)
    const { metadata } = await api.get(name)
    const { resourceVersion } = metadata
    const whole = { ...object, metadata: { ...object.metadata, resourceVersion }, status: FULL_STATUS }
    await api.strictly('replace', whole, '--subresource=status')
    expect(await api.get(name)).toMatchObject({ spec: SPEC, status: FULL_STATUS })
    const ofSet = api.newName()
    await api.strictly('create', { ...object, metadata: { ...object.metadata, name: ofSet }, spec: SET_SPEC })
    expect((await api.get(ofSet)).spec).toEqual(SET_SPEC)
    const placed = { ...SPEC, nodeSelector: { 'example.com/pool': 'builds', empty: '' }, nodes: NODES }
    expect((await api.get(await api.create(placed))).spec).toEqual(placed)
  })

  test('the types have every field of the CRD', () => {
    const spec = { ...SPEC, ...SET_SPEC, nodeSelector: {}, nodes: { ...NODES, matchLabels: {} } }
    const parsed = nixBuilds.parse({ metadata: METADATA, spec, status: FULL_STATUS })
    expect(parsed).toMatchObject({ spec, status: FULL_STATUS })
    expect(pathsIn({ spec: parsed.spec, status: parsed.status }).sort()).toEqual(
      [...properties()].map(({ path }) => path).sort(),
    )
  })

  test('both have the same limits and phases', () => {
    const found = new Map([...properties()].map(({ path, schema }) => [path, schema]))
    expect(found.get('status.status')?.enum).toEqual(NIXBUILD_PHASES)
    expect({
      message: found.get('status.conditions.message')?.maxLength,
      progress: found.get('status.progress')?.maxLength,
      reason: found.get('status.attempts.reason')?.maxLength,
      namedNodes: found.get('status.ready.nodes')?.maxItems,
      attempts: found.get('status.attempts')?.maxItems,
    }).toEqual(NIXBUILD_LIMITS)
    expect(found.get('status.logTail')?.maxLength).toBe(NIXBUILD_LIMITS.message)
  })

  test('every field has a description, and every text of a recipe has a length limit and a pattern', () => {
    for (const { path, schema } of properties()) {
      expect(schema.description, path).toMatch(/^\S.{10,}\.$/s)
      const text = schema.items ?? schema.additionalProperties ?? schema
      const isText = text.type !== 'object' && !text.enum
      if (path.startsWith('spec.') && isText) expect([text.pattern, text.maxLength], path).not.toContain(undefined)
      else if (schema.type === 'string' && !schema.enum && !schema.format) expect(schema.maxLength, path).toBeDefined()
    }
  })
})

describe('the API server rejects a change of the recipe, in', () => {
  test.each([
    ['flakeUrl', 'github:owner/other'],
    ['imageTag', 'other'],
    ['packageName', 'other'],
    ['system', 'aarch64-linux'],
    ['nodeSelector', { pool: 'builds' }],
  ])('%s', async (field, value) => {
    const name = await api.create(SPEC)
    await expect(api.merge(name, { spec: { [field]: value } })).rejects.toThrow(refusal('never changes'))
    expect((await api.get(name)).spec).toEqual(SPEC)
    const labels = { 'app.kubernetes.io/managed-by': 'helm' }
    await api.merge(name, { metadata: { labels }, spec: SPEC })
    expect((await api.get(name)).metadata.labels).toEqual(labels)
  })

  test('contents', async () => {
    const name = await api.create(SET_SPEC)
    for (const change of [{ contents: ['jq'] }, { contents: null, packageName: 'jq' }])
      await expect(api.merge(name, { spec: change })).rejects.toThrow(refusal('never changes'))
    expect((await api.get(name)).spec).toEqual(SET_SPEC)
  })
})

describe('the API server rejects a status that', () => {
  const attempt = { node: 'n', endTime: '2026-01-01T00:00:00Z', reason: 'gone' }
  const many = <T>(length: number, make: (index: number) => T) => Array.from({ length }, (_, index) => make(index))
  test.each([
    ['has another phase', { status: 'Sleeping' }, 'status.status'],
    ['names too many nodes', { ready: { count: 6, nodes: many(6, index => `n${index}`) } }, 'status.ready.nodes'],
    ['has names without a number', { failed: { nodes: ['n'] } }, 'status.failed.count'],
    ['has too many attempts', { attempts: many(NIXBUILD_LIMITS.attempts + 1, () => attempt) }, 'status.attempts'],
    ['has a progress that is too long', { progress: 'x'.repeat(NIXBUILD_LIMITS.progress + 1) }, 'status.progress'],
    ['has a log that is too long', { logTail: 'x'.repeat(NIXBUILD_LIMITS.message + 1) }, 'status.logTail'],
    ['has one condition twice', { conditions: many(2, () => ({ type: 'A', status: 'True' })) }, 'status.conditions'],
    ['has an invalid time', { startTime: 'yesterday' }, 'status.startTime'],
  ])('%s', async (_, status, field) => {
    const name = await api.create(SPEC)
    await expect(api.mergeStatus(name, status)).rejects.toThrow(refusal(field))
  })
})

describe('the selected nodes', () => {
  test('may change, and may be all', async () => {
    const name = await api.create(SPEC)
    for (const nodes of [NODES, {}]) {
      await api.merge(name, { spec: { nodes: null } })
      await api.merge(name, { spec: { nodes } })
      expect((await api.get(name)).spec).toEqual({ ...SPEC, nodes })
    }
    await api.merge(name, { spec: { nodes: null } })
    expect((await api.get(name)).spec).toEqual(SPEC)
  })

  const expressions = (...matchExpressions: object[]) => ({ matchExpressions })
  test.each([
    ['have too many labels', { matchLabels: manyLabels(9) }],
    ['have a label that is too long', { matchLabels: { ['x'.repeat(318)]: '' } }],
    ['have a value that no label can have', { matchLabels: { pool: 'a b' } }],
    ['have too many requirements', expressions(...Array.from({ length: 9 }, () => ({ key: 'a', operator: 'Exists' })))],
    ['have another operator', expressions({ key: 'a', operator: 'Gt', values: ['1'] })],
    ['have a key that no label can have', expressions({ key: 'a b', operator: 'Exists' })],
    ['need values and have none', expressions({ key: 'a', operator: 'In' })],
    ['need no values and have some', expressions({ key: 'a', operator: 'Exists', values: ['x'] })],
    ['have too many values', expressions({ key: 'a', operator: 'In', values: Object.keys(manyLabels(17)) })],
    ['have a value that is too long', expressions({ key: 'a', operator: 'NotIn', values: ['x'.repeat(64)] })],
  ])('are rejected if they %s', async (_, nodes) => {
    await expect(api.create({ ...SPEC, nodes })).rejects.toThrow(refusal('spec.nodes'))
  })
})

function manyLabels(length: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length }, (_, n) => [`label-${n}`, '']))
}

describe('the API server rejects a nodeSelector', () => {
  test.each([
    ['with too many labels', manyLabels(17)],
    ['with a label that is too long', { ['x'.repeat(318)]: '' }],
    ['with a value that no label can have', { pool: 'a b' }],
    ['with a value that is too long', { pool: 'x'.repeat(64) }],
  ])('%s', async (_, nodeSelector) => {
    await expect(api.create({ ...SPEC, nodeSelector })).rejects.toThrow(refusal('spec.nodeSelector'))
  })
})

test('the API server accepts a status only through the status subresource', async () => {
  const name = api.newName()
  await api.kube.create(nixBuilds, {
    namespace: api.namespace,
    name,
    body: { spec: SPEC, status: { status: 'Succeeded' } },
  })
  await api.merge(name, { status: { status: 'Succeeded' } })
  expect((await api.get(name)).status.status).toBeUndefined()
  await api.mergeStatus(name, { status: 'Building', progress: 'a' })
  expect((await api.get(name)).status).toMatchObject({ status: 'Building', progress: 'a' })
})

describe('kubectl', () => {
  test.each(['nixbuild', 'nixbuilds', 'nb', 'enbi'])('get %s prints the documented columns', async resource => {
    const name = await api.create(SPEC)
    await api.mergeStatus(name, { status: 'Building', buildNode: 'node-1' })
    const [header, line] = (
      await api.cluster.kubectl([
        'get',
        resource,
        `--namespace=${api.namespace}`,
        `--field-selector=metadata.name=${name}`,
      ])
    ).split('\n')
    expect(header?.split(/ {2,}/)).toEqual(['NAME', 'IMAGE TAG', 'SYSTEM', 'STATUS', 'BUILD NODE', 'AGE'])
    expect(line?.split(/ {2,}/)).toEqual([
      ...[name, SPEC.imageTag, SPEC.system, 'Building', 'node-1'],
      expect.stringMatching(/^\d+s$/),
    ])
  })

  test.each([
    ['for a package', SPEC, 'images."web.v2"'],
    ['for a package set', { ...SET_SPEC, contents: ['curl', 'jq'] }, '["curl","jq"]'],
  ])('get -o wide prints the built packages %s', async (_, spec, column) => {
    const select = [`--namespace=${api.namespace}`, `--field-selector=metadata.name=${await api.create(spec)}`]
    const printed = await api.cluster.kubectl(['get', 'nb', '-o', 'wide', ...select])
    const [header, line] = printed.split('\n').map(each => each.split(/ {2,}/))
    expect([header?.at(-1), line?.at(-1)]).toEqual(['PACKAGE', column])
  })

  test('finds the NixBuilds of an image and those of a node by their labels', async () => {
    const imageTag = `registry.example/found:${api.newName()}`
    const name = await api.create({ ...SPEC, imageTag })
    await api.mergeStatus(name, { buildNode: api.newName() })
    const { buildNode } = (await api.get(name)).status
    for (const selector of [`spec.imageTag=${imageTag}`, `status.buildNode=${buildNode}`]) {
      expect(
        await api.cluster.kubectl([
          'get',
          'nb',
          `--namespace=${api.namespace}`,
          '-o',
          'name',
          `--field-selector=${selector}`,
        ]),
      ).toBe(`nixbuild.enbi.hrzn.ee/${name}`)
    }
  })

  test('explain shows the descriptions of fields', async () => {
    // The API server publishes the schema shortly after the kind.
    const explain = (field: string) => api.cluster.kubectl(['explain', field]).catch((error: Error) => error.message)
    await expect.poll(() => explain('nixbuild.spec'), PATIENT).toContain('FIELDS:')
    const spec = (await explain('nixbuild.spec')).replace(/\s+/g, ' ')
    for (const words of ['The flake, as nix takes it', 'flakeUrl <string> -required-', 'never changes'].map(String)) {
      expect(spec.toLowerCase()).toContain(words.toLowerCase())
    }
    expect(await explain('nixbuild.status.ready')).toContain('The nodes that have the image now')
  })
})

const METADATA = {
  name: 'a',
  namespace: 'default',
  uid: 'u',
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
}

function refusal(about: string) {
  return expect.objectContaining({ code: 'ClusterRefused', message: expect.stringContaining(about) })
}
