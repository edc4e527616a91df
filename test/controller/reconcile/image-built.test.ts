import { describe, expect, it } from 'vitest'
import { imageBuilt, theOnesToTell, theOneToTell } from '../../../controller/reconcile/image-built.ts'
import { podWants, type Want } from '../../../controller/reconcile/pod-wants.ts'
import type { BuildView } from '../../../controller/views/nixbuild.ts'
import { someBuild, somePod } from '../views.ts'

const [want] = podWants(somePod(), 'x86_64-linux').wants
if (want === undefined) throw new Error('the pod wants nothing')
const started = { ...want, started: true }
const POD = { node: 'node-1', createdAt: Date.parse('2026-01-01T12:00:00Z') }
const before = { completionTime: '2026-01-01T11:59:59Z' }
const after = { completionTime: '2026-01-01T12:00:00Z' }
const onNode = { buildNode: 'node-1' }
/** By the API server's clock, so many seconds after the pod was made. */
const writtenBy = (manager: string, seconds: number) => {
  const time = new Date(POD.createdAt + seconds * 1000).toISOString()
  return { managedFields: [{ manager, operation: 'Apply', subresource: 'status', time }] }
}
const listed = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `other-${n}` }))
const SUCCEEDED = { status: 'Succeeded', nodes: [{ name: 'node-1' }] }
const BUILDING = { status: 'Building', buildNode: 'node-1' }
const on = (status: object) => someBuild({ status })

describe('the condition of a pod on node-1', () => {
  it.each([
    ['no NixBuild yet', want, undefined, 'Pending', 'has not begun'],
    ['one without a status', want, on({}), 'Pending', 'has not begun'],
    ['Pending', want, on({ status: 'Pending' }), 'Pending', 'has not begun'],
    [
      'Building here',
      want,
      on({ status: 'Building', buildNode: 'node-1' }),
      'Building',
      'on node-1 from github:team/app#app',
    ],
    ['Building elsewhere', want, on({ status: 'Building', buildNode: 'node-2' }), 'Building', 'on node-2'],
    ['Importing', want, on({ status: 'Importing', buildNode: 'node-1' }), 'Importing', 'on node-1'],
    [
      'built here',
      want,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-1' }] }),
      'Built',
      'image loaded',
    ],
    [
      'built on more nodes than it can list',
      want,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: listed(200) }),
      'Built',
      'image loaded',
    ],
    [
      'built on as many nodes less one',
      want,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: listed(199) }),
      'Pending',
      'does not have it',
    ],
    [
      'built elsewhere',
      want,
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Pending',
      'built on node-2, and node-1 does not have it',
    ],
    [
      'built elsewhere and here, too',
      want,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: [{ name: 'node-2' }, { name: 'node-1' }] }),
      'Built',
      'image loaded',
    ],
    [
      'failed',
      want,
      on({ status: 'Failed', conditions: [{ type: 'Success', status: 'False', message: 'builder failed: x' }] }),
      'Failed',
      'builder failed: x',
    ],
    [
      'built here before, and still here',
      want,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-1' }], ...before }),
      'Built',
      'image loaded',
    ],
    [
      'built here before, and removed',
      want,
      on({ status: 'Succeeded', buildNode: 'node-1', ...before }),
      'Pending',
      'and node-1 does not have it',
    ],
    [
      'built here, and only elsewhere now',
      want,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-2' }] }),
      'Pending',
      'and node-1 does not have it',
    ],
    [
      'built here just now, and removed',
      want,
      on({ status: 'Succeeded', buildNode: 'node-1', ...after }),
      'Pending',
      'and node-1 does not have it',
    ],
    [
      'failed before',
      want,
      on({ status: 'Failed', ...before }),
      'Pending',
      'waiting for another try; the last one: the build failed',
    ],
    ['failed just now', want, on({ status: 'Failed', ...after }), 'Failed', 'the build failed'],
    [
      'failed just now on a node whose clock is behind',
      want,
      someBuild({ metadata: writtenBy('enbi-shim-node-1', 1), status: { status: 'Failed', ...onNode, ...before } }),
      'Failed',
      'the build failed',
    ],
    [
      'failed before on a node whose clock is ahead',
      want,
      someBuild({ metadata: writtenBy('enbi-shim-node-1', -1), status: { status: 'Failed', ...onNode, ...after } }),
      'Pending',
      'waiting for another try',
    ],
    [
      'given up before',
      want,
      someBuild({ metadata: writtenBy('enbi-controller', -1), status: { status: 'Failed', ...after } }),
      'Pending',
      'waiting for another try',
    ],
    [
      'failed before, and told of other nodes since',
      want,
      someBuild({ metadata: writtenBy('enbi-shim-node-2', 1), status: { status: 'Failed', ...onNode, ...before } }),
      'Pending',
      'waiting for another try',
    ],
    ['failed without a word', want, on({ status: 'Failed' }), 'Failed', 'the build failed'],
    ['started without a NixBuild', started, undefined, 'Built', 'image loaded'],
    ['started, and the NixBuild Pending', started, on({ status: 'Pending' }), 'Built', 'image loaded'],
    ['started, built elsewhere', started, on({ status: 'Succeeded', buildNode: 'node-2' }), 'Built', 'image loaded'],
  ])('with the NixBuild %s', (_name, want, build, reason, text) => {
    const condition = imageBuilt(POD, { wanted: [{ want, build }], problems: [], loss: undefined })
    expect(condition).toEqual({ reason, message: expect.stringContaining(text) })
    expect(condition?.message).toContain('docker.io/library/app:1')
  })

  it.each([
    [['Succeeded', 'Succeeded'], 'Built'],
    [['Succeeded', 'Importing'], 'Importing'],
    [['Importing', 'Building'], 'Building'],
    [['Building', 'Pending'], 'Pending'],
    [['Failed', 'Building'], 'Failed'],
    [['Pending', 'Failed'], 'Failed'],
  ])('tells the worst of %j', (phases, reason) => {
    const wanted = phases.map(status => ({
      want,
      build: on({ status, buildNode: 'node-1', nodes: [{ name: 'node-1' }] }),
    }))
    expect(imageBuilt(POD, { wanted, problems: [], loss: undefined })?.reason).toBe(reason)
  })

  it.each([
    ['before it has begun', undefined, 'Pending', /has not begun: no shim runs on node node-1$/],
    [
      'when it was built elsewhere',
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Pending',
      /node-1 does not have it: no shim/,
    ],
    ['but not while it is being built', on({ status: 'Building', buildNode: 'node-2' }), 'Building', /#app$/],
  ])('says what is wrong with the node %s', (_name, build, reason, message) => {
    const loss = 'no shim runs on node node-1'
    expect(imageBuilt(POD, { wanted: [{ want, build }], problems: [], loss })).toEqual({
      reason,
      message: expect.stringMatching(message),
    })
  })

  it('says why no NixBuild can be made', () => {
    const wanted = [{ want, build: undefined, refused: 'exceeded quota' }]
    expect(imageBuilt(POD, { wanted, problems: [], loss: undefined })).toEqual({
      reason: 'Pending',
      message: expect.stringMatching(/has not begun: exceeded quota$/),
    })
  })

  it('tells a problem before all else', () => {
    const wanted = [{ want, build: on({ status: 'Building' }) }]
    const problems = [{ reason: 'NixBuildInvalid' as const, message: 'bad' }]
    expect(imageBuilt(POD, { wanted, problems, loss: undefined })).toEqual({
      reason: 'Failed',
      message: 'bad',
    })
  })

  it('is none when nothing is wanted', () => {
    expect(imageBuilt(POD, { wanted: [], problems: [], loss: undefined })).toBeUndefined()
  })

  it('keeps its words while a build goes on', () => {
    const at = (progress: string): string | undefined => {
      const build = on({ status: 'Building', buildNode: 'node-1', progress })
      return imageBuilt(POD, { wanted: [{ want, build }], problems: [], loss: undefined })?.message
    }
    expect(at('building 1 of 7')).toBe(at('building 2 of 7'))
  })
})

describe('of several NixBuilds of one recipe', () => {
  const named = (name: string, status?: string, metadata: object = {}): BuildView =>
    someBuild({ metadata: { name, ...metadata }, status: { status } })
  it.each([
    ['the one that is done', [named('a', 'Building'), named('b', 'Succeeded')], 'b'],
    ['the one that runs', [named('a', 'Pending'), named('b', 'Building')], 'b'],
    ['the one that may run', [named('a', 'Failed'), named('b')], 'b'],
    ['the first by name of equals', [named('b'), named('a')], 'a'],
    ['the older of equals', [named('a', 'Pending', { creationTimestamp: '2026-02-01T00:00:00Z' }), named('b')], 'b'],
    [
      'one that stays',
      [named('a', 'Succeeded', { deletionTimestamp: '2026-02-01T00:00:00Z' }), named('b', 'Failed')],
      'b',
    ],
  ])('%s is told of', (_name, builds, name) => {
    expect(theOneToTell(builds)?.name).toBe(name)
  })

  it('there may be none', () => {
    expect(theOneToTell([])).toBeUndefined()
  })
})

describe('of an image whose name is the recipe', () => {
  const namedWant = (key: string): Want => {
    const { image, system } = want.recipe
    return { key, recipe: { key, image, system, text: 'x' }, started: false, pulled: true, named: true }
  }
  const of = (packageName: string, status?: object) => ({
    want: namedWant(packageName),
    build: status && someBuild({ spec: { packageName }, status }),
  })
  const told = (...wanted: readonly ReturnType<typeof of>[]) =>
    theOnesToTell(wanted, 'node-1').map(({ want: { key } }) => key)

  it.each([
    ['what is being built rather than what an older rule gave', [of('old', SUCCEEDED), of('new', BUILDING)], ['new']],
    ['what has an image rather than what failed', [of('old', { status: 'Failed' }), of('new', SUCCEEDED)], ['new']],
    ['nothing when its NixBuild has just gone', [of('old')], []],
  ])('a pod is told %s', (_, wanted, expected) => {
    expect(told(...wanted)).toEqual(expected)
  })

  it('a pod is told of a NixBuild that a shim made once its own node has a part in it', () => {
    const byShim = (status: object) => {
      const labels = { 'app.kubernetes.io/managed-by': 'enbi-shim' }
      return { ...of('app'), build: someBuild({ metadata: { labels }, status }) }
    }
    const elsewhere = { status: 'Building', buildNode: 'node-2', nodes: [{ name: 'node-2' }] }
    expect(told(byShim(elsewhere))).toEqual([])
    expect(told(byShim({ ...elsewhere, buildNode: 'node-1' }))).toEqual(['app'])
    expect(told(byShim({ ...elsewhere, nodes: [{ name: 'node-1' }] }))).toEqual(['app'])
  })

  it('a pod is told one, and of the annotated ones each', () => {
    const other = { ...of('b', SUCCEEDED), want: { ...want, key: 'annotated' } }
    expect(told(other, of('a', SUCCEEDED), of('b', BUILDING))).toEqual(['annotated', 'b'])
  })
})
