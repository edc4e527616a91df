import { describe, expect, test } from 'vitest'
import { NIXBUILD_LIMITS, type NixBuildStatus, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { pathsIn } from '../../deploy/crd-schema.ts'
import { FULL_STATUS, SPEC } from '../../deploy/nixbuilds.ts'
import { createNixBuildWriter, namespace } from './nixbuild-writer.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

type Status = Partial<NixBuildStatus>

const a = { name: 'a', since: '2026-01-01T00:00:00Z' }
const b = { name: 'b', since: '2026-01-01T00:00:00Z' }
const c = { name: 'c' }

/** Attempts to write the status of NixBuilds with the token of node a. */
export function nixBuildStatusSuite(node: TakenOverNode): void {
  const { deployed, shim } = node
  const { build, apply, merge, read } = createNixBuildWriter(node, 'status')

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

  test('the admission policies of shims do not apply to the controller and to users', async () => {
    const name = await build({ status: 'Building', buildNode: 'b', nodes: [a, b] })
    const controller = await deployed().as('enbi-controller')
    const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-controller' } as const
    const status = { status: 'Pending', buildNode: null, nodes: [a], attempts: FULL_STATUS.attempts }
    await controller.kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
    expect((await read(name)).status).toMatchObject({ status: 'Pending', nodes: [a], attempts: FULL_STATUS.attempts })
  })
}

function isOther(node: { readonly name: string }): boolean {
  return node.name !== 'a'
}
