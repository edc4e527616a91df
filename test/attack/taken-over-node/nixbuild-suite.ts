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

/** NixBuilds, by the token of node a. */
export function nixBuildSuite({ deployed, shim }: TakenOverNode): void {
  let made = 0

  describe('the shim of a may', () => {
    test.each<[string, Status, Status]>([
      ['claim what nobody builds', {}, { status: 'Building', buildNode: 'a' }],
      ['claim what is Pending', { status: 'Pending' }, { status: 'Building', buildNode: 'a' }],
      [
        'claim what b has failed to build',
        { status: 'Failed', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
      ],
      ['go on with its own', { status: 'Building', buildNode: 'a' }, { status: 'Importing', buildNode: 'a' }],
      [
        'finish its own',
        { status: 'Importing', buildNode: 'a' },
        { ...FULL_STATUS, buildNode: 'a', nodes: [a], attempts: [] },
      ],
      ['build its own again', { status: 'Succeeded', buildNode: 'a' }, { status: 'Building', buildNode: 'a' }],
      ['fail what it claims at once', {}, { status: 'Failed', buildNode: 'a' }],
      ['list itself beside others', { status: 'Succeeded', buildNode: 'b', nodes: [b, c] }, { nodes: [a] }],
      [
        'change its entry',
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

    test('let go of its own, and of its entry, and leaves those of others alone', async () => {
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

    test('make a NixBuild for pods', async () => {
      await create({ labels: MANAGED })
    })
  })

  describe('the shim of a may not', () => {
    test.each<[string, Status, Status, string]>([
      ['claim for b', {}, { status: 'Building', buildNode: 'b' }, 'must be claimed'],
      ['write the status of what it does not claim', {}, { status: 'Failed' }, 'must be claimed'],
      ['write anything at all that it does not claim', {}, { progress: 'almost there' }, 'must be claimed'],
      [
        'take what b builds',
        { status: 'Building', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
        'it is on b',
      ],
      ['take what b imports', { status: 'Importing', buildNode: 'b' }, { buildNode: 'a' }, 'it is on b'],
      [
        'take what b has built',
        { status: 'Succeeded', buildNode: 'b' },
        { status: 'Building', buildNode: 'a' },
        'it is on b',
      ],
      [
        'fail what b builds',
        { status: 'Building', buildNode: 'b' },
        { status: 'Failed', buildNode: 'b' },
        'it is on b',
      ],
      ['give its own to b', { status: 'Building', buildNode: 'a' }, { buildNode: 'b' }, 'may not give the build to b'],
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
      ['write attempts', { status: 'Building', buildNode: 'a' }, { attempts: FULL_STATUS.attempts }, 'attempts are'],
      [
        'finish a build that names no builder',
        { status: 'Building', buildNode: 'a' },
        { status: 'Succeeded', buildNode: '' },
        'has a build node',
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
      ['clear the status of what b builds', { status: 'Building', buildNode: 'b' }, { status: null, buildNode: null }],
      ['forget attempts', { status: 'Building', buildNode: 'a', attempts: FULL_STATUS.attempts }, { attempts: null }],
    ])('%s', async (_, before, change) => {
      const name = await build(before)
      await expect(merge(name, change)).rejects.toThrow(refusal(''))
    })

    // A new field of the CRD that the policy forgets would be free for all.
    test.each(pathsIn(FULL_STATUS).filter(path => !path.includes('.') && path !== 'nodes'))(
      "change a build's %s that is on b",
      async field => {
        const name = await build({ ...FULL_STATUS, status: 'Building', buildNode: 'b' })
        await expect(merge(name, { [field]: null })).rejects.toThrow(refusal(''))
      },
    )

    test.each<[string, object, string]>([
      ['make a NixBuild that looks hand-made', {}, 'has the label app.kubernetes.io/managed-by=enbi-shim'],
      ["make a NixBuild in the controller's name", { labels: { ...MANAGED, ...byController() } }, 'has the label'],
      ['give a NixBuild to a node', { labels: { ...MANAGED, 'enbi.hrzn.ee/node': 'b' } }, 'needs the verb assign'],
      ['give a NixBuild to its own node', { labels: { ...MANAGED, 'enbi.hrzn.ee/node': 'a' } }, 'needs the verb'],
      [
        'make a NixBuild that cannot be deleted',
        { labels: MANAGED, finalizers: ['example.org/forever'] },
        'finalizers',
      ],
      ['make a NixBuild that goes with another object', { labels: MANAGED, ownerReferences: [OWNER] }, 'nor owners'],
      [
        'fill the API server by annotations',
        { labels: MANAGED, annotations: { big: 'x'.repeat(100_000) } },
        'annotations',
      ],
      ['fill the API server by many annotations', { labels: MANAGED, annotations: many(100) }, 'annotations'],
      ['fill the API server by labels', { labels: { ...MANAGED, ...many(100) } }, 'labels'],
      [
        'forge when it was written, and by whom',
        { labels: MANAGED, managedFields: [forgedWrite('enbi-shim-a'), forgedWrite('enbi-controller')] },
        'by whom',
      ],
    ])('%s', async (_, metadata, problem) => {
      await expect(create(metadata)).rejects.toThrow(refusal(problem))
    })

    test('take the name of a NixBuild that somebody would make by hand', async () => {
      const body = { metadata: { labels: MANAGED }, spec: SPEC }
      await expect(shim().kube.create(nixBuilds, { namespace, name: 'web', body })).rejects.toThrow(refusal('name'))
    })

    test('grow a NixBuild by one field manager after the other, or by conditions', async () => {
      const name = await build({ status: 'Building', buildNode: 'a' })
      const body = { status: { nodes: [a] } }
      const options = { type: 'apply', subresource: 'status', fieldManager: 'enbi-shim-b' } as const
      await expect(shim().kube.patch(nixBuilds, { namespace, name, body }, options)).rejects.toThrow(
        refusal('field manager'),
      )
      const conditions = Array.from({ length: 100 }, (_, index) => ({ type: `T${index}`, status: 'True' }))
      await expect(merge(name, { conditions })).rejects.toThrow(/conditions: Too many/)
    })

    test('fill the API server by what it is said to have written', async () => {
      const body = { metadata: { labels: MANAGED }, spec: SPEC }
      const made = await shim().kube.create(nixBuilds, { namespace, name: managedName(1000), body })
      const [{ manager = '' } = {}] = made.metadata.managedFields ?? []
      const fieldsV1 = { 'f:spec': Object.fromEntries(Object.keys(many(10_000)).map(name => [`f:${name}`, {}])) }
      const { subresource, ...write } = { ...forgedWrite(manager), operation: 'Update', fieldsV1 }
      await expect(create({ labels: MANAGED, managedFields: [write] })).rejects.toThrow(refusal('by whom'))
    })

    test('make a NixBuild larger than 256 kB, whatever it writes', async () => {
      const name = await build({ status: 'Building', buildNode: 'a' })
      // As JSON six bytes.
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

    test('change labels or the recipe by way of the status', async () => {
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

  test('a token that is bound to no node may not write anything', async () => {
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

  test('a token ends with its node', async () => {
    const lost = await deployed().as('enbi-shim', 'lost')
    expect(await lost.kube.get(nixBuilds, { namespace, name: 'none' })).toBeUndefined()
    await deployed().cluster.kubectl(['delete', 'node', 'lost'])
    const ask = () => lost.kube.get(nixBuilds, { namespace, name: 'none' }).catch(error => error)
    // The API server remembers for some seconds whom it took the token for.
    await expect.poll(ask, PATIENT).toMatchObject({ code: 'ClusterAway', message: /Unauthorized/ })
  })

  test('the controller and people are not held to it', async () => {
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

  /** As a shim writes. */
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

/** As `nixBuildName` makes them. */
function managedName(number: number): string {
  return `app-${number.toString(16).padStart(16, '0')}`
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`name-${index}`, 'x']))
}
