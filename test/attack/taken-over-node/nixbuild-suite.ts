import { describe, expect, test } from 'vitest'
import { leases } from '../../../kube/resources/lease.ts'
import { NIXBUILD_LIMITS, type NixBuildStatus, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { pathsIn } from '../../deploy/crd-schema.ts'
import { FULL_STATUS, SPEC } from '../../deploy/nixbuilds.ts'
import { PATIENT } from '../../patience.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

type Status = Partial<NixBuildStatus>

const MANAGED = { 'app.kubernetes.io/managed-by': 'enbi-shim' }
const OWNER = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }
const namespace = 'default'
const a = { name: 'a', since: '2026-01-01T00:00:00Z' }
const b = { name: 'b', since: '2026-01-01T00:00:00Z' }
const c = { name: 'c' }

/** Attempts to write NixBuilds with the token of node a. */
export function nixBuildSuite({ deployed, shim }: TakenOverNode): void {
  let made = 0

  describe('the shim of a may', () => {
    test.each<[string, Status, Status]>([
      ['claim an unclaimed NixBuild', {}, { status: 'Building', buildNode: 'a' }],
      ['claim a pending NixBuild', { status: 'Pending' }, { status: 'Building', buildNode: 'a' }],
      [
        'claim a NixBuild that failed on b',
        { status: 'Failed', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
      ],
      ['advance its own NixBuild', { status: 'Building', buildNode: 'a' }, { status: 'Importing', buildNode: 'a' }],
      [
        'finish its own NixBuild',
        { status: 'Importing', buildNode: 'a' },
        { ...FULL_STATUS, buildNode: 'a', nodes: [a], attempts: [] },
      ],
      ['restart its own NixBuild', { status: 'Succeeded', buildNode: 'a' }, { status: 'Building', buildNode: 'a' }],
      ['claim a NixBuild and fail it immediately', {}, { status: 'Failed', buildNode: 'a' }],
      ['list itself beside other nodes', { status: 'Succeeded', buildNode: 'b', nodes: [b, c] }, { nodes: [a] }],
      [
        'change its own entry',
        { status: 'Succeeded', buildNode: 'b', nodes: [b, a] },
        { nodes: [{ ...a, imageDigest: 'x' }] },
      ],
      ['list itself while b builds', { status: 'Building', buildNode: 'b' }, { nodes: [a] }],
    ])('%s', async (_, before, change) => {
      const name = await build(before)
      await apply(name, change)
      const { nodes = [], ...rest } = change
      const { status } = await read(name)
      expect(status).toMatchObject(rest)
      expect(status.nodes.filter(isOther)).toEqual(before.nodes?.filter(isOther) ?? [])
      expect(status.nodes.filter(node => !isOther(node))).toEqual(nodes)
    })

    test('release its own NixBuild and remove its own entry without changing those of others', async () => {
      const name = await build({ nodes: [b], attempts: FULL_STATUS.attempts })
      await apply(name, { status: 'Building', buildNode: 'a', nodes: [a] })
      await apply(name, { status: 'Pending' })
      const { status } = await read(name)
      expect(status).toMatchObject({ status: 'Pending', nodes: [b], attempts: FULL_STATUS.attempts })
      expect(status.buildNode).toBeUndefined()
    })

    test('list itself among two hundred nodes', async () => {
      const others = Array.from({ length: 199 }, (_, index) => ({
        name: `node-${index}`,
        imageDigest: `sha256:${index}`,
      }))
      const name = await build({ status: 'Succeeded', buildNode: 'b', nodes: others })
      await apply(name, { nodes: [a] })
      expect((await read(name)).status.nodes).toHaveLength(200)
    })

    test('create a NixBuild for pods', async () => {
      await create({ labels: MANAGED })
    })
  })

  describe('the shim of a may not', () => {
    test.each<[string, Status, Status, string]>([
      ['claim a NixBuild for b', {}, { status: 'Building', buildNode: 'b' }, 'must be claimed'],
      ['write the phase of a NixBuild that it does not claim', {}, { status: 'Failed' }, 'must be claimed'],
      ['write the progress of a NixBuild that it does not claim', {}, { progress: 'almost there' }, 'must be claimed'],
      [
        'take over a NixBuild that b builds',
        { status: 'Building', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
        'it is on b',
      ],
      [
        'take over a NixBuild that b imports',
        { status: 'Importing', buildNode: 'b' },
        { buildNode: 'a' },
        'it is on b',
      ],
      [
        'take over a NixBuild that b has built',
        { status: 'Succeeded', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
        'it is on b',
      ],
      [
        'fail a NixBuild that b builds',
        { status: 'Building', buildNode: 'b' },
        { status: 'Failed', buildNode: 'b' },
        'it is on b',
      ],
      [
        'give its own NixBuild to b',
        { status: 'Building', buildNode: 'a' },
        { buildNode: 'b' },
        'may not give the build to b',
      ],
      ['list b', {}, { nodes: [b] }, 'entries of other nodes'],
      [
        'list b beside itself',
        { status: 'Building', buildNode: 'a' },
        { buildNode: 'a', nodes: [a, b] },
        'entries of other',
      ],
      [
        'change the entry of b',
        { nodes: [b] },
        { nodes: [{ ...b, imageDigest: 'another' }] },
        'entries of other nodes',
      ],
      ['write attempts', { status: 'Building', buildNode: 'a' }, { attempts: FULL_STATUS.attempts }, 'writes attempts'],
      [
        'finish a build that names no builder',
        { status: 'Building', buildNode: 'a' },
        { status: 'Succeeded', buildNode: '' },
        'must have a build node',
      ],
      [
        'invent conditions',
        { status: 'Building', buildNode: 'a' },
        { buildNode: 'a', conditions: [{ type: 'Big', status: 'True', reason: '', message: '' }] },
        'Complete and Success',
      ],
    ])('%s', async (_, before, change, problem) => {
      const name = await build(before)
      const { status } = await read(name)
      await expect(apply(name, change)).rejects.toThrow(refusal(problem))
      await expect(merge(name, change)).rejects.toThrow(refusal(problem))
      expect((await read(name)).status).toEqual(status)
    })

    test.each<[string, Status, object]>([
      ['remove the entry of b', { nodes: [b, a] }, { nodes: [a] }],
      ['remove all entries', { nodes: [b, a] }, { nodes: null }],
      [
        'clear the status of a NixBuild that b builds',
        { status: 'Building', buildNode: 'b' },
        { status: null, buildNode: null },
      ],
      ['remove attempts', { status: 'Building', buildNode: 'a', attempts: FULL_STATUS.attempts }, { attempts: null }],
    ])('%s', async (_, before, change) => {
      const name = await build(before)
      await expect(merge(name, change)).rejects.toThrow(refusal(''))
    })

    // A new field of the CRD that the policy omits would be writable for every shim.
    test.each(pathsIn(FULL_STATUS).filter(path => !path.includes('.') && path !== 'nodes'))(
      'change the %s of a NixBuild that b builds',
      async field => {
        const name = await build({ ...FULL_STATUS, status: 'Building', buildNode: 'b' })
        await expect(merge(name, { [field]: null })).rejects.toThrow(refusal(''))
      },
    )

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
        'a NixBuild was written, or when',
      ],
    ])('%s', async (_, metadata, problem) => {
      await expect(create(metadata)).rejects.toThrow(refusal(problem))
    })

    test('take the name of a NixBuild that a user would create', async () => {
      const body = { metadata: { labels: MANAGED }, spec: SPEC }
      await expect(shim().kube.create(nixBuilds, { namespace, name: 'web', body })).rejects.toThrow(refusal('name'))
    })

    test('grow a NixBuild with ever more field managers or conditions', async () => {
      const name = await build({ status: 'Building', buildNode: 'a' })
      const body = { status: { nodes: [a] } }
      const options = { type: 'apply', subresource: 'status', fieldManager: 'enbi-shim-b' } as const
      await expect(shim().kube.patch(nixBuilds, { namespace, name, body }, options)).rejects.toThrow(
        refusal('field manager'),
      )
      const conditions = Array.from({ length: 100 }, (_, index) => ({ type: `T${index}`, status: 'True' }))
      await expect(merge(name, { conditions })).rejects.toThrow(/conditions: Too many/)
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

    test('grow a NixBuild beyond 256 kB by any write', async () => {
      const name = await build({ status: 'Building', buildNode: 'a' })
      // Six bytes in JSON.
      const text = (length: number) => '\u0001'.repeat(length)
      for (const logTail of [text(NIXBUILD_LIMITS.message * 2), text(30_000)])
        await expect(merge(name, { logTail })).rejects.toThrow(/logTail: Too long/)
      const message = text(NIXBUILD_LIMITS.message)
      const conditions = ['Complete', 'Success'].map(type => ({ type, status: 'False', reason: text(1024), message }))
      await merge(name, { conditions, logTail: message, storePath: text(4096), lockedFlakeUrl: text(2048) })
      await merge(name, { progress: text(1024), imageDigest: text(512), buildJobName: text(253) })
      await merge(name, { nodes: [{ name: 'a', imageDigest: text(512) }] })
      expect(JSON.stringify(await read(name)).length).toBeLessThan(256 * 1024)
    })

    test('change labels or the recipe through the status', async () => {
      const name = await build({})
      const before = await read(name)
      const metadata = { labels: { 'enbi.hrzn.ee/node': 'b' }, finalizers: ['example.org/forever'] }
      const body = {
        metadata,
        spec: { ...SPEC, system: 'aarch64-linux' },
        status: { status: 'Pending', buildNode: 'a' },
      }
      const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
      await shim().kube.patch(nixBuilds, { namespace, name, body }, options)
      const { metadata: after, spec } = await read(name)
      expect({ labels: after.labels, spec }).toEqual({ labels: before.metadata.labels, spec: SPEC })
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

  test('the admission policies of shims do not apply to the controller and to users', async () => {
    const name = await build({ status: 'Building', buildNode: 'b', nodes: [a, b] })
    const controller = await deployed().as('enbi-controller')
    const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-controller' } as const
    const status = { status: 'Pending', buildNode: null, nodes: [a], attempts: FULL_STATUS.attempts }
    await controller.kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
    expect((await read(name)).status).toMatchObject({ status: 'Pending', nodes: [a], attempts: FULL_STATUS.attempts })
  })

  /** A NixBuild with that status, written by others. */
  async function build(status: Status): Promise<string> {
    made += 1
    const name = `build-${made}`
    await deployed().kube.create(nixBuilds, { namespace, name, body: { spec: SPEC } })
    const options = { type: 'apply', subresource: 'status', fieldManager: 'others' } as const
    await deployed().kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
    return name
  }

  function create(metadata: object) {
    made += 1
    return shim().kube.create(nixBuilds, { namespace, name: managedName(made), body: { metadata, spec: SPEC } })
  }

  /** Writes as a shim does. */
  function apply(name: string, status: object, by = shim()) {
    const options = { type: 'apply', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
    return by.kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
  }

  function merge(name: string, status: object) {
    const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
    return shim().kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
  }

  async function read(name: string) {
    const found = await deployed().kube.get(nixBuilds, { namespace, name })
    if (!found) throw new Error(`there is no ${name}`)
    return found
  }
}

function isOther(node: { readonly name: string }): boolean {
  return node.name !== 'a'
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

/** A name in the form of `nixBuildName`. */
function managedName(number: number): string {
  return `app-${number.toString(16).padStart(16, '0')}`
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`name-${index}`, 'x']))
}
