import { describe, expect, it } from 'vitest'
import type { Condition } from '../../../../kube/resources/condition.ts'
import type { NixBuildStatus } from '../../../../kube/resources/nixbuild.ts'
import type { ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'
import { staleFields, statusChange, withoutEntry } from '../../../../shim/cluster/nixbuild/status.ts'
import { cancelled, failed, IMAGE_ID, NODE, NOW, nixBuild, running, succeeded } from '../builds/nixbuilds.ts'

const OTHER = 'node-2'
const entry = { name: NODE, imageDigest: IMAGE_ID, since: '2025-12-31T00:00:00Z' }
const done: Partial<NixBuildStatus> = {
  status: 'Succeeded',
  buildNode: NODE,
  imageDigest: IMAGE_ID,
  startTime: '2025-12-31T00:00:00Z',
}

const OTHERS_CONDITION: Condition = { type: 'Other', status: 'True', reason: '', message: '' }

function change(status: Partial<NixBuildStatus> | undefined, run: ReportedRunState) {
  return statusChange({ live: nixBuild({ ...(status && { status }) }), run, node: NODE, now: NOW, isWanted: true })
}

describe('a node claims and reports progress on a NixBuild', () => {
  it.each<[string, Partial<NixBuildStatus> | undefined]>([
    ['that has no status', undefined],
    ['that is Pending', { status: 'Pending' }],
    ['that failed elsewhere', { status: 'Failed', buildNode: OTHER }],
    ['that failed here', { status: 'Failed', buildNode: NODE }],
    ['that it claimed before a restart', { status: 'Building', buildNode: NODE, buildJobName: 'run-0' }],
    ['that it built and whose image is gone', done],
  ])('%s', (_name, status) => {
    expect(change(status, running())).toEqual({
      kind: 'apply',
      status: {
        status: 'Building',
        observedGeneration: 1,
        buildNode: NODE,
        buildJobName: 'run-1',
        startTime: '2025-12-31T23:59:58Z',
        progress: 'evaluating the flake',
        conditions: [
          expect.objectContaining({
            type: 'Complete',
            status: 'False',
            reason: 'Building',
            message: `Building on ${NODE}`,
          }),
          expect.objectContaining({ type: 'Success', status: 'Unknown', reason: 'Building' }),
        ],
      },
    })
  })
})

describe('a node does not change', () => {
  it.each<[string, Partial<NixBuildStatus>, ReportedRunState]>([
    ['a NixBuild that another node builds', { status: 'Building', buildNode: OTHER }, running()],
    ['a NixBuild that another node imports', { status: 'Importing', buildNode: OTHER }, failed()],
    ['a NixBuild that another node has built', { status: 'Succeeded', buildNode: OTHER }, failed()],
    [
      'a NixBuild that another node builds when its own run is cancelled',
      { status: 'Building', buildNode: OTHER },
      cancelled(),
    ],
    ['an unclaimed NixBuild when its own run is cancelled', { status: 'Pending' }, cancelled()],
    ['a successful NixBuild while its image is checked again', { ...done, nodes: [entry] }, running()],
    [
      'a successful NixBuild when checking its image fails temporarily',
      { ...done, nodes: [entry] },
      failed({ final: false }),
    ],
  ])('%s', (_name, status, run) => {
    expect(change(status, run)).toBeUndefined()
  })
})

it('a node claims nothing for a run that no request waits for', () => {
  const query = { run: running(), node: NODE, now: NOW, isWanted: false }
  expect(statusChange({ ...query, live: nixBuild({ status: { status: 'Pending' } }) })).toBeUndefined()
  const own = nixBuild({ status: { status: 'Building', buildNode: NODE } })
  expect(statusChange({ ...query, live: own })).toMatchObject({ kind: 'apply' })
})

describe('the end of a run', () => {
  it('that succeeded is written with the image and this node', () => {
    expect(change({ status: 'Importing', buildNode: NODE }, succeeded())).toEqual({
      kind: 'apply',
      status: {
        status: 'Succeeded',
        observedGeneration: 1,
        buildNode: NODE,
        buildJobName: 'run-1',
        imageDigest: IMAGE_ID,
        imageSize: 12_300_000,
        storePath: '/nix/store/x-image',
        startTime: '2025-12-31T23:59:58Z',
        completionTime: '2026-01-01T00:00:00Z',
        progress: 'loaded in 2.0 s, 12.3 MB',
        conditions: [
          expect.objectContaining({
            type: 'Complete',
            status: 'True',
            reason: 'BuildFinished',
            message: 'Image loaded',
          }),
          expect.objectContaining({ type: 'Success', status: 'True', reason: 'ResultSuccess' }),
        ],
        nodes: [{ name: NODE, imageDigest: IMAGE_ID, since: '2026-01-01T00:00:00Z' }],
      },
    })
  })

  it('that succeeded while another node has the claim only adds this node', () => {
    const nodes = [{ ...entry, name: OTHER }]
    expect(change({ status: 'Succeeded', buildNode: OTHER, nodes }, succeeded())).toEqual({
      kind: 'apply',
      status: { nodes: [{ name: NODE, imageDigest: IMAGE_ID, since: '2026-01-01T00:00:00Z' }] },
    })
  })

  it('that succeeded adds no entry to a full list', () => {
    const nodes = Array.from({ length: 200 }, (_, index) => ({ name: `other-${index}` }))
    expect(change({ status: 'Succeeded', buildNode: OTHER, nodes }, succeeded())).toBeUndefined()
  })

  it('that failed is written with the reason', () => {
    expect(change({ status: 'Building', buildNode: NODE }, failed())).toMatchObject({
      kind: 'apply',
      status: {
        status: 'Failed',
        logTail: 'line 1\nline 2',
        completionTime: '2026-01-01T00:00:00Z',
        conditions: [
          { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
          { type: 'Success', status: 'False', reason: 'ResultFailure', message: 'no such attribute' },
        ],
      },
    })
  })

  it('that failed permanently is written although the image of an earlier run still exists', () => {
    expect(change({ ...done, nodes: [entry] }, failed())).toMatchObject({
      status: { status: 'Failed', nodes: [entry] },
    })
  })

  it('that was cancelled releases the NixBuild', () => {
    expect(change({ status: 'Building', buildNode: NODE }, cancelled())).toMatchObject({
      kind: 'release',
      status: { status: 'Pending', buildNode: null, startTime: null, conditions: [{ reason: 'Interrupted' }, {}] },
    })
  })

  it('that was cancelled keeps the conditions of other writers', () => {
    expect(change({ status: 'Building', buildNode: NODE, conditions: [OTHERS_CONDITION] }, cancelled())).toMatchObject({
      status: { observedGeneration: 1, conditions: [OTHERS_CONDITION, { type: 'Complete' }, { type: 'Success' }] },
    })
  })
})

describe('a written status', () => {
  it.each<[string, ReportedRunState]>([
    ['of a current run', running()],
    ['of a success', succeeded()],
    ['of a failure', failed()],
  ])('%s is not written again', (_name, run) => {
    const said = change(undefined, run)
    if (said?.kind !== 'apply') throw new Error(`it was not applied: ${said?.kind}`)
    expect(change(said.status, run)).toBeUndefined()
    const conditions = [OTHERS_CONDITION, ...(said.status.conditions ?? [])]
    expect(change({ ...said.status, conditions }, run)).toBeUndefined()
  })

  it('of a success is not written again when the image is checked later', () => {
    const said = change(undefined, succeeded())
    const outcome = {
      kind: 'Succeeded',
      at: NOW + 60_000,
      imageId: IMAGE_ID,
      imageSize: 12_300_000,
      present: true,
    } as const
    const later = running({ startedAt: NOW + 59_000, runId: undefined, outcome })
    expect(change({ ...said?.status }, later)).toBeUndefined()
  })

  it('of a failure is not written again when the same failure follows', () => {
    const said = change(undefined, failed())
    const later = { ...failed(), startedAt: NOW + 5000, runId: undefined }
    expect(change({ ...said?.status }, later)).toBeUndefined()
  })

  it('keeps the time of a condition whose status does not change', () => {
    const before = change(undefined, running())
    const after = statusChange({
      live: nixBuild({ status: { ...before?.status } }),
      run: running({ phase: 'Importing' }),
      node: NODE,
      now: NOW + 5000,
      isWanted: true,
    })
    expect(after?.status).toMatchObject({
      conditions: [{ reason: 'Importing', lastTransitionTime: '2026-01-01T00:00:00Z' }, {}],
    })
  })
})

describe('fields of earlier claims', () => {
  it('are removed when this node has the claim', () => {
    const live = nixBuild({ status: { status: 'Building', buildNode: NODE, logTail: 'old', completionTime: 'old' } })
    expect(staleFields(live, { status: 'Building', buildNode: NODE })).toEqual({ logTail: null, completionTime: null })
  })

  it('are kept when this node only adds its entry', () => {
    const live = nixBuild({ status: { status: 'Succeeded', buildNode: OTHER } })
    expect(staleFields(live, { nodes: [entry] })).toBeUndefined()
  })
})

describe('the status without this node’s entry', () => {
  it.each<[string, Partial<NixBuildStatus>, object | undefined]>([
    ['keeps the other fields if this node has the claim', { ...done, nodes: [entry] }, { ...done, conditions: [] }],
    ['is empty if another node has the claim', { status: 'Succeeded', buildNode: OTHER, nodes: [entry] }, {}],
    ['does not exist if there is no such entry', { ...done, nodes: [{ ...entry, name: OTHER }] }, undefined],
  ])('%s', (_name, status, expected) => {
    expect(withoutEntry(nixBuild({ status }), NODE)).toEqual(expected)
  })
})
