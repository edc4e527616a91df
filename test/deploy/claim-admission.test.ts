import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { claimLeases, claimPatch, newClaim, slotName } from '../../kube/resources/claim-lease.ts'
import { leases } from '../../kube/resources/lease.ts'
import { CLAIMS_NAMESPACE } from '../../kube/resources/names.ts'
import { refusal } from '../attack/taken-over-node/taken-over-node.ts'
import { somePath } from '../shim/share/paths.ts'
import { type Deployed, type Member, startDeployed } from './deployed.ts'

const MERGE = { type: 'merge', fieldManager: 'enbi-shim' } as const
const FAILURE = { code: 'BuilderFailed', message: 'it broke', node: 'a' } as const
const HELD = { holder: 'a', durationMs: 30_000 }
const PATH = '/nix/store/00000000000000000000000000000000-web'
const DRV = `${PATH}.drv`
const NAME = { namespace: CLAIMS_NAMESPACE, name: 'path-00000000000000000000000000000000' }
const SLOT = { namespace: CLAIMS_NAMESPACE, name: slotName('peer', 0) }

let deployed: Deployed
let shim: Member
let other: Member

beforeAll(async () => {
  deployed = await startDeployed()
  // Without a controller manager nobody counts: the API server would refuse everything.
  await deployed.cluster.kubectl(['delete', 'resourcequota', '--all', `--namespace=${CLAIMS_NAMESPACE}`])
  shim = await deployed.as('enbi-shim', 'a')
  other = await deployed.as('enbi-shim', 'b')
})

afterAll(() => deployed?.[Symbol.asyncDispose]())

/** A claim that b holds, of a path of its own. */
async function heldByOther() {
  const { path, name } = newPath()
  await other.kube.create(leases, { ...name, body: newClaim({ ...HELD, holder: 'b', path }) })
  return name
}

describe('a shim may', () => {
  test('claim a path, tell its progress, release it, and say why it failed', async () => {
    const { path, name } = newPath()
    await shim.kube.create(leases, { ...name, body: newClaim({ ...HELD, path }) })
    for (const change of [
      { ...HELD, progress: 'building 1 of 2' },
      { holder: '', progress: null, nodes: ['a'] },
      { ...HELD, nodes: [], failure: null },
      { holder: '', failure: { ...FAILURE, message: 'it said {"node":"b"}' } },
      { ...HELD, failure: null },
      { holder: '', failure: FAILURE },
    ])
      await write(shim, name, change)
    expect(await shim.kube.get(claimLeases, name)).toMatchObject({ holder: '', failure: FAILURE })
  })

  test('take over a claim, whose failure and nodes are forgotten then', async () => {
    const name = await heldByOther()
    await write(other, name, { holder: '', failure: { ...FAILURE, node: 'b' } })
    await write(shim, name, { ...HELD, derivation: DRV, nodes: [], failure: null, progress: null })
    expect(await shim.kube.get(claimLeases, name)).toMatchObject({ holder: 'a', derivation: DRV })
    await write(other, name, { ...HELD, holder: 'b' })
  })

  test('add itself to the nodes that have the path, while another node holds the claim, and afterwards', async () => {
    const name = await heldByOther()
    await write(shim, name, { nodes: ['a'] })
    await write(other, name, { holder: '', nodes: ['a', 'b'] })
    const third = await deployed.as('enbi-shim', 'c')
    await write(third, name, { nodes: ['a', 'b', 'c'] })
  })

  test('take, renew and release a slot of another node', async () => {
    await shim.kube.create(leases, { ...SLOT, body: newClaim(HELD) })
    await write(shim, SLOT, HELD)
    await write(shim, SLOT, { holder: '' })
    await write(other, SLOT, { ...HELD, holder: 'b' })
  })

  test('change a claim that an administrator has labelled', async () => {
    const name = await heldByOther()
    const metadata = { labels: { team: 'one' }, annotations: { note: 'two' } }
    await deployed.kube.patch(leases, { ...name, body: { metadata } }, { type: 'merge', fieldManager: 'admin' })
    await write(shim, name, HELD)
  })
})

describe('a shim of a taken-over node may not create a Lease', () => {
  const create = newClaim({ ...HELD, path: { storePath: PATH, drvPath: DRV } })
  test.each<[string, object, object, string]>([
    [
      'that another node holds',
      NAME,
      newClaim({ ...HELD, holder: 'b', path: { storePath: PATH, drvPath: DRV } }),
      'only for itself',
    ],
    [
      'that nobody holds',
      NAME,
      newClaim({ ...HELD, holder: '', path: { storePath: PATH, drvPath: DRV } }),
      'only for itself',
    ],
    ['of another name', { name: 'enbi-controller' }, newClaim(HELD), 'the name of a claim'],
    ['of a path with a short name', { name: 'path-0' }, create, 'the name of a claim'],
    [
      'for longer than a minute',
      NAME,
      newClaim({ ...HELD, path: { storePath: PATH, drvPath: DRV }, durationMs: 61_000 }),
      '60 seconds',
    ],
    ['of a path that has another hash', { name: `path-${'1'.repeat(32)}` }, create, 'store path whose hash'],
    ['of a slot with a store path', SLOT, create, 'label'],
    ['of a path without the label', NAME, { ...create, metadata: {} }, 'label'],
    [
      'of an endless path',
      NAME,
      newClaim({ ...HELD, path: { storePath: PATH + 'x'.repeat(300), drvPath: DRV } }),
      'store path whose hash',
    ],
    [
      'with an owner',
      NAME,
      withMetadata({ ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'u' }] }),
      'metadata',
    ],
    ['that cannot be deleted', NAME, withMetadata({ finalizers: ['example.org/forever'] }), 'metadata'],
    [
      'with a record of fields that do not exist',
      NAME,
      withMetadata({ managedFields: [longRecord()] }),
      'managedFields',
    ],
  ])('%s', async (_, name, body, problem) => {
    await expect(shim.kube.create(leases, { ...NAME, ...name, body })).rejects.toThrow(refusal(problem))
  })
})

describe('a shim of a taken-over node may not change a claim of another one:', () => {
  test.each<[string, object, string]>([
    ['release it', { spec: { holderIdentity: '' } }, 'only its own claims'],
    ['give it to a third node', { spec: { holderIdentity: 'c' } }, 'only for itself'],
    ['renew it', { spec: { renewTime: '2030-01-01T00:00:00.000000Z' } }, 'only add itself'],
    ['end it early', { spec: { leaseDurationSeconds: 1 } }, 'only add itself'],
    ['say that it builds something else', annotate('derivation', DRV), 'only add itself'],
    ['tell its progress', annotate('progress', 'done'), 'only add itself'],
    ['say that it failed', annotate('failure', JSON.stringify(FAILURE)), 'only add itself'],
    ['add a third node', annotate('nodes', 'a,c'), 'add only itself|only add itself'],
    ['remove the label', { metadata: { labels: { 'enbi.hrzn.ee/claim': null } } }, 'metadata'],
    ['rename its path', annotate('store-path', PATH), 'only add itself|annotations'],
    ['add annotations', { metadata: { annotations: { big: 'x' } } }, 'only add itself|annotations'],
  ])('%s', async (_, body, problem) => {
    const name = await heldByOther()
    await expect(shim.kube.patch(leases, { ...name, body }, MERGE)).rejects.toThrow(refusal(problem))
  })

  test('remove nodes that have the path', async () => {
    const name = await heldByOther()
    await write(other, name, { holder: '', nodes: ['b'] })
    await expect(write(shim, name, { nodes: ['a'] })).rejects.toThrow(refusal('only add itself'))
    await expect(write(shim, name, { nodes: [] })).rejects.toThrow(refusal('only add itself'))
  })
})

describe('a shim of a taken-over node may not write into its own claim', () => {
  test.each<[string, object, string]>([
    ['other nodes', annotate('nodes', 'a,b'), 'add only itself'],
    ['itself twice', annotate('nodes', 'a,a'), 'add only itself'],
    ['an endless derivation', annotate('derivation', DRV + 'x'.repeat(300)), '255'],
    ['long progress', annotate('progress', 'x'.repeat(201)), '200 characters'],
    ['a failure while it holds it', annotate('failure', JSON.stringify(FAILURE)), 'when it releases'],
    [
      'a failure of another node',
      { spec: { holderIdentity: '' }, ...annotate('failure', JSON.stringify({ ...FAILURE, node: 'b' })) },
      'only its own failures',
    ],
    ...[
      '{"code":"BuilderFailed","message":"m","node":"b","x":{"node":"a"}}',
      '{"code":"BuilderFailed","message":"m","node":"b","node":"a"}',
      '{"code":"BuilderFailed","message":"m","node":"b","x":"\\"node\\":\\"a\\""}',
      '{"code":"BuilderFailed","message":"m","\\u006eode":"b","foo\\"node":"a"}',
    ].map((failure): [string, object, string] => [
      `a failure of another node, as ${failure}`,
      { spec: { holderIdentity: '' }, ...annotate('failure', failure) },
      'only its own failures',
    ]),
    [
      'a long failure',
      {
        spec: { holderIdentity: '' },
        ...annotate('failure', JSON.stringify({ ...FAILURE, message: 'x'.repeat(6_144) })),
      },
      '6144',
    ],
    [
      'annotations that fill the API server',
      { metadata: { annotations: { big: 'x'.repeat(100_000) } } },
      'annotations',
    ],
    ['a duration of a year', { spec: { leaseDurationSeconds: 31_536_000 } }, '60 seconds'],
    ['no duration', { spec: { leaseDurationSeconds: null } }, '60 seconds'],
  ])('%s', async (_, body, problem) => {
    const { path, name } = newPath()
    await shim.kube.create(leases, { ...name, body: newClaim({ ...HELD, path }) })
    await expect(shim.kube.patch(leases, { ...name, body }, MERGE)).rejects.toThrow(refusal(problem))
  })

  test('ever more field managers', async () => {
    const { path, name } = newPath()
    await shim.kube.create(leases, { ...name, body: newClaim({ ...HELD, path }) })
    const renewal = { ...name, body: { spec: { leaseDurationSeconds: 31 } } }
    const asOther = shim.kube.patch(leases, renewal, { type: 'merge', fieldManager: 'another' })
    await expect(asOther).rejects.toThrow(refusal('field manager'))
  })
})

test('a token that is bound to no Node may not claim', async () => {
  const { kube } = await deployed.as('enbi-shim')
  const lease = { ...NAME, body: newClaim({ ...HELD, path: { storePath: PATH, drvPath: DRV } }) }
  await expect(kube.create(leases, lease)).rejects.toThrow(refusal('bound to no Node'))
})

const HELD_SPEC = { holderIdentity: 'a', leaseDurationSeconds: 30 }

async function write(member: Member, name: typeof NAME, change: Parameters<typeof claimPatch>[1]): Promise<void> {
  const { resourceVersion = '' } = (await member.kube.get(claimLeases, name)) ?? {}
  await member.kube.patch(leases, { ...name, body: claimPatch(resourceVersion, change) }, MERGE)
}

function newPath() {
  const path = somePath()
  return { path, name: { ...NAME, name: `path-${path.storePath.slice(11, 43)}` } }
}

function annotate(name: string, value: string): object {
  return { metadata: { annotations: { [`enbi.hrzn.ee/${name}`]: value } } }
}

function withMetadata(more: object): object {
  const metadata = {
    labels: { 'enbi.hrzn.ee/claim': 'path' },
    annotations: { 'enbi.hrzn.ee/store-path': PATH },
    ...more,
  }
  return { metadata, spec: HELD_SPEC }
}

function longRecord(): object {
  const fields = Array.from({ length: 1_000 }, (_, index) => [`f:example.org/field-${index}`, {}])
  const fieldsV1 = { 'f:metadata': { 'f:annotations': Object.fromEntries(fields) } }
  return { manager: 'm', operation: 'Update', apiVersion: 'coordination.k8s.io/v1', fieldsType: 'FieldsV1', fieldsV1 }
}
