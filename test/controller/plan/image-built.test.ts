import { describe, expect, it } from 'vitest'
import { imageBuilt } from '../../../controller/plan/image-built.ts'
import { podRequests } from '../../../controller/plan/pod-requests.ts'
import { someBuild, somePod } from '../views.ts'

const [request] = podRequests(somePod(), 'x86_64-linux').requests
if (request === undefined) throw new Error('the pod requests nothing')
const started = { ...request, started: true }
const POD = { node: 'node-1', createdAt: Date.parse('2026-01-01T12:00:00Z') }
const before = { completionTime: '2026-01-01T11:59:59Z' }
const after = { completionTime: '2026-01-01T12:00:00Z' }
const onNode = { buildNode: 'node-1' }
/** A status write at this many seconds after the pod's creation, by the API server's clock. */
const writtenBy = (manager: string, seconds: number) => {
  const time = new Date(POD.createdAt + seconds * 1000).toISOString()
  return { managedFields: [{ manager, operation: 'Apply', subresource: 'status', time }] }
}
const listed = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `other-${n}` }))
const on = (status: object) => someBuild({ status })

describe('the condition of a pod on node-1', () => {
  it.each([
    ['missing', request, undefined, 'Pending', 'has not started'],
    ['without a status', request, on({}), 'Pending', 'has not started'],
    ['Pending', request, on({ status: 'Pending' }), 'Pending', 'has not started'],
    [
      'Building here',
      request,
      on({ status: 'Building', buildNode: 'node-1' }),
      'Building',
      'on node-1 from github:team/app#app',
    ],
    ['Building elsewhere', request, on({ status: 'Building', buildNode: 'node-2' }), 'Building', 'on node-2'],
    ['Importing', request, on({ status: 'Importing', buildNode: 'node-1' }), 'Importing', 'on node-1'],
    [
      'built here',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-1' }] }),
      'Built',
      'image loaded',
    ],
    [
      'built on more nodes than it can list',
      request,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: listed(200) }),
      'Built',
      'image loaded',
    ],
    [
      'built on one node fewer than it can list',
      request,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: listed(199) }),
      'Pending',
      'does not have it',
    ],
    [
      'built elsewhere',
      request,
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Pending',
      'built on node-2, but node-1 does not have it',
    ],
    [
      'built elsewhere and here',
      request,
      on({ status: 'Succeeded', buildNode: 'node-2', nodes: [{ name: 'node-2' }, { name: 'node-1' }] }),
      'Built',
      'image loaded',
    ],
    [
      'failed',
      request,
      on({ status: 'Failed', conditions: [{ type: 'Success', status: 'False', message: 'builder failed: x' }] }),
      'Failed',
      'builder failed: x',
    ],
    [
      'built here before the pod, and still here',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-1' }], ...before }),
      'Built',
      'image loaded',
    ],
    [
      'built here before the pod, and removed',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', ...before }),
      'Pending',
      'but node-1 does not have it',
    ],
    [
      'built here, and only elsewhere now',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', nodes: [{ name: 'node-2' }] }),
      'Pending',
      'but node-1 does not have it',
    ],
    [
      'built here just now, and removed',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', ...after }),
      'Pending',
      'but node-1 does not have it',
    ],
    [
      'failed before the pod',
      request,
      on({ status: 'Failed', ...before }),
      'Pending',
      'waiting for another attempt; the last one failed: the build failed',
    ],
    ['failed just now', request, on({ status: 'Failed', ...after }), 'Failed', 'the build failed'],
    [
      'failed just now, on a node whose clock is behind',
      request,
      someBuild({ metadata: writtenBy('enbi-shim-node-1', 1), status: { status: 'Failed', ...onNode, ...before } }),
      'Failed',
      'the build failed',
    ],
    [
      'failed before the pod, on a node whose clock is ahead',
      request,
      someBuild({ metadata: writtenBy('enbi-shim-node-1', -1), status: { status: 'Failed', ...onNode, ...after } }),
      'Pending',
      'waiting for another attempt',
    ],
    [
      'given up before the pod',
      request,
      someBuild({ metadata: writtenBy('enbi-controller', -1), status: { status: 'Failed', ...after } }),
      'Pending',
      'waiting for another attempt',
    ],
    [
      'failed before the pod, and updated by another node since',
      request,
      someBuild({ metadata: writtenBy('enbi-shim-node-2', 1), status: { status: 'Failed', ...onNode, ...before } }),
      'Pending',
      'waiting for another attempt',
    ],
    ['failed without a message', request, on({ status: 'Failed' }), 'Failed', 'the build failed'],
    ['missing, but the container started', started, undefined, 'Built', 'image loaded'],
    ['Pending, but the container started', started, on({ status: 'Pending' }), 'Built', 'image loaded'],
    [
      'built elsewhere, but the container started',
      started,
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Built',
      'image loaded',
    ],
  ])('with the NixBuild %s', (_name, request, build, reason, text) => {
    const condition = imageBuilt(POD, { requested: [{ request, build }], problems: [], nodeProblem: undefined })
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
  ])('has the worst reason of %j', (phases, reason) => {
    const requested = phases.map(status => ({
      request,
      build: on({ status, buildNode: 'node-1', nodes: [{ name: 'node-1' }] }),
    }))
    expect(imageBuilt(POD, { requested, problems: [], nodeProblem: undefined })?.reason).toBe(reason)
  })

  it.each([
    ['before the build starts', undefined, 'Pending', /has not started: no shim runs on node node-1$/],
    [
      'if the image was built elsewhere',
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Pending',
      /node-1 does not have it: no shim/,
    ],
    [
      'if another node builds the image',
      on({ status: 'Building', buildNode: 'node-2' }),
      'Building',
      /on node-2 from \S+#app; node-1 does not get it from there: no shim runs on node node-1$/,
    ],
    [
      'if another node loads the image',
      on({ status: 'Importing', buildNode: 'node-2' }),
      'Importing',
      /on node-2; node-1 does not get it from there: no shim runs on node node-1$/,
    ],
    ['but not if it builds the image', on({ status: 'Building', buildNode: 'node-1' }), 'Building', /#app$/],
  ])('names the problem of the node %s', (_name, build, reason, message) => {
    const nodeProblem = 'no shim runs on node node-1'
    expect(imageBuilt(POD, { requested: [{ request, build }], problems: [], nodeProblem })).toEqual({
      reason,
      message: expect.stringMatching(message),
    })
  })

  it('says why the NixBuild cannot be created', () => {
    const requested = [{ request, build: undefined, refused: 'exceeded quota' }]
    expect(imageBuilt(POD, { requested, problems: [], nodeProblem: undefined })).toEqual({
      reason: 'Pending',
      message: expect.stringMatching(/has not started: exceeded quota$/),
    })
  })

  it('reports a problem first', () => {
    const requested = [{ request, build: on({ status: 'Building' }) }]
    const problems = [{ reason: 'NixBuildInvalid' as const, message: 'bad' }]
    expect(imageBuilt(POD, { requested, problems, nodeProblem: undefined })).toEqual({
      reason: 'Failed',
      message: 'bad',
    })
  })

  it('is missing if nothing is requested', () => {
    expect(imageBuilt(POD, { requested: [], problems: [], nodeProblem: undefined })).toBeUndefined()
  })

  it('keeps its message while a build progresses', () => {
    const at = (progress: string): string | undefined => {
      const build = on({ status: 'Building', buildNode: 'node-1', progress })
      return imageBuilt(POD, { requested: [{ request, build }], problems: [], nodeProblem: undefined })?.message
    }
    expect(at('building 1 of 7')).toBe(at('building 2 of 7'))
  })
})
