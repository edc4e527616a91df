import { describe, expect, it } from 'vitest'
import { type ImageFacts, imageBuilt } from '../../../controller/plan/image-built.ts'
import { podRequests } from '../../../controller/plan/pod-requests.ts'
import { someBuild, someEntry, somePod } from '../views.ts'

const [request] = podRequests(somePod(), 'x86_64-linux').requests
if (request === undefined) throw new Error('the pod requests nothing')
const started = { ...request, started: true }
const POD = { node: 'node-1', uid: 'pod-1', createdAt: Date.parse('2026-01-01T12:00:00Z') }
const before = { completionTime: '2026-01-01T11:59:59Z' }
const after = { completionTime: '2026-01-01T12:00:00Z' }
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
      'built elsewhere',
      request,
      on({ status: 'Succeeded', buildNode: 'node-2' }),
      'Pending',
      'built on node-2, but node-1 does not have it',
    ],
    [
      'failed',
      request,
      on({ status: 'Failed', conditions: [{ type: 'Success', status: 'False', message: 'builder failed: x' }] }),
      'Failed',
      'builder failed: x',
    ],
    [
      'built here before the pod, and removed',
      request,
      on({ status: 'Succeeded', buildNode: 'node-1', ...before }),
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
      request: status === 'Succeeded' ? started : request,
      build: on({ status, buildNode: 'node-1' }),
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
})

describe('the condition of a pod whose node tells what it does', () => {
  const at = (second: number) => new Date(POD.createdAt + second * 1000).toISOString()
  const tells = (entry: Parameters<typeof someEntry>[1], facts: Partial<ImageFacts> & { build?: object } = {}) => {
    const requested = [{ request, build: on(facts.build ?? {}), entry: someEntry('node-1', entry) }]
    return imageBuilt(POD, { requested, problems: [], nodeProblem: undefined, ...facts })
  }

  it.each([
    ['has the image', { state: 'Present' }, {}, 'Built', 'image loaded'],
    ['has the image, while others build it', { state: 'Present' }, { status: 'Building' }, 'Built', 'image loaded'],
    ['waits', { state: 'Queued' }, {}, 'Pending', 'queued on node-1'],
    ['will try again', { state: 'Queued', message: 'no network' }, {}, 'Pending', 'no network'],
    [
      'builds, as others do',
      { state: 'Building' },
      { status: 'Building', buildNode: 'node-2' },
      'Building',
      'on node-1',
    ],
    ['builds what another one has', { state: 'Building' }, { status: 'Succeeded' }, 'Building', 'on node-1'],
    ['imports', { state: 'Importing' }, { status: 'Building', buildNode: 'node-2' }, 'Importing', 'loaded on node-1'],
    ['failed', { state: 'Failed', since: at(1), message: 'no space' }, { status: 'Failed' }, 'Failed', ': no space'],
    [
      'failed, while another one has it',
      { state: 'Failed', since: at(1), message: 'no space' },
      { status: 'Succeeded', buildNode: 'node-2' },
      'Failed',
      'built on node-2, but failed on node-1: no space',
    ],
    [
      'failed before the pod was there',
      { state: 'Failed', since: at(-1), message: 'no space' },
      { status: 'Failed' },
      'Pending',
      'waiting for another attempt; the last one failed: no space',
    ],
  ] as const)('%s', (_name, entry, build, reason, text) => {
    expect(tells(entry, { build })).toMatchObject({ reason, message: expect.stringContaining(text) })
  })

  it('has the progress apart from its message', () => {
    expect(tells({ state: 'Building', progress: 'building 1 of 7' })).toEqual({
      reason: 'Building',
      message: expect.stringMatching(/#app$/),
      progress: 'building 1 of 7',
    })
  })

  it('is not Built while a pod that runs pulls its image again', () => {
    const pods = [{ name: 'web', uid: 'pod-1' }]
    const again = (uid: string) => {
      const entry = someEntry('node-1', { state: 'Building', pods: pods.map(pod => ({ ...pod, uid })) })
      const requested = [{ request: started, build: undefined, entry }]
      return imageBuilt(POD, { requested, problems: [], nodeProblem: undefined })?.reason
    }
    expect([again('pod-1'), again('another')]).toEqual(['Building', 'Built'])
  })

  it('trusts a NixBuild if its node has more images than it can tell of', () => {
    const requested = [{ request, build: on({ status: 'Succeeded', buildNode: 'node-2' }) }]
    expect(imageBuilt(POD, { requested, problems: [], nodeProblem: undefined, isNodeFull: true })?.reason).toBe('Built')
  })
})
