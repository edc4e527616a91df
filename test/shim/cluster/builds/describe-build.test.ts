import { describe, expect, it } from 'vitest'
import { NIXNODE_LIMITS, type NodeBuild } from '../../../../kube/resources/nixnode.ts'
import { concludedBuild, runningBuild } from '../../../../shim/cluster/builds/describe-build.ts'
import type { ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'
import type { Attempt } from '../../../../shim/pull/contract.ts'
import { cancelled, failed, IMAGE_ID, NODE, NOW, recipe, running, succeeded } from './runs.ts'

const subject = { namespace: 'team', key: 'key', recipe: recipe(), nixBuild: 'web' }
const spec = {
  flakeUrl: 'github:team/app',
  imageTag: 'registry.example/team/app:1',
  packageName: 'image',
  system: 'x86_64-linux',
}

function conclude(
  run: ReportedRunState,
  { before, attempt }: { before?: NodeBuild | undefined; attempt?: Attempt } = {},
) {
  return concludedBuild({ subject, run, before, isTold: true, attempt, node: NODE })
}

const present: NodeBuild = {
  namespace: 'team',
  key: 'key',
  state: 'Present',
  since: '2025-01-01T00:00:00Z',
  startTime: '2024-12-31T23:59:00Z',
  progress: 'loaded in 60 s',
  imageDigest: IMAGE_ID,
  imageSize: 42,
  storePath: '/nix/store/x-image',
  pods: [],
}

describe('a running build', () => {
  it('has its recipe, its state, its run and its progress', () => {
    expect(runningBuild(subject, running())).toEqual({
      ...{ namespace: 'team', key: 'key', nixBuild: 'web', recipe: spec, state: 'Building', pods: [] },
      since: '2025-12-31T23:59:58Z',
      startTime: '2025-12-31T23:59:58Z',
      progress: 'evaluating the flake',
      buildJobName: 'run-1',
      lockedFlakeUrl: undefined,
    })
  })
})

describe('a build that ended', () => {
  it.each<[string, NodeBuild | undefined, object | undefined]>([
    [
      'well has the image and no recipe',
      conclude(succeeded()),
      {
        state: 'Present',
        since: '2026-01-01T00:00:00Z',
        startTime: '2025-12-31T23:59:58Z',
        progress: 'loaded in 2.0 s, 12.3 MB',
        imageDigest: IMAGE_ID,
        imageSize: 12_300_000,
        storePath: '/nix/store/x-image',
      },
    ],
    [
      'with the image that was there keeps its times and what it knew of it',
      conclude(running({ outcome: { kind: 'Succeeded', at: NOW, imageId: IMAGE_ID, present: true } }), {
        before: present,
      }),
      present,
    ],
    [
      'with another image has new times',
      conclude(succeeded(), { before: { ...present, imageDigest: 'sha256:0' } }),
      { since: '2026-01-01T00:00:00Z' },
    ],
    [
      'badly has the reason and the end of the log',
      conclude(failed()),
      { state: 'Failed', recipe: spec, message: 'no such attribute', logTail: 'line 1\nline 2', retryable: false },
    ],
    [
      'badly for the same reason again keeps the times and the log of the first failure',
      conclude(failed({ at: NOW + 5000, logTail: 'other' }), { before: conclude(failed()) }),
      { since: '2026-01-01T00:00:00Z', logTail: 'line 1\nline 2' },
    ],
    [
      'badly for the same reason long after has the time of the last failure, and the rest of the first one',
      conclude(failed({ at: NOW + 31_000, logTail: 'other' }), { before: conclude(failed()) }),
      { since: '2026-01-01T00:00:31Z', startTime: '2025-12-31T23:59:58Z', logTail: 'line 1\nline 2' },
    ],
    [
      'badly for the same reason after another assignment has new times',
      conclude(failed({ at: NOW + 5000 }), { before: conclude(failed()), attempt: { number: 1, max: 3 } }),
      { since: '2026-01-01T00:00:05Z' },
    ],
    [
      'with a temporary failure still has the image that was there',
      conclude(failed({ final: false }), { before: present }),
      present,
    ],
    [
      'with a final failure has no image any more',
      conclude(failed(), { before: present }),
      { state: 'Failed', progress: 'failed' },
    ],
    ['because nobody waits is not reported', conclude(cancelled()), undefined],
    ['because nobody waits still has the image that was there', conclude(cancelled(), { before: present }), present],
    ['because nobody waits has no old failure', conclude(cancelled(), { before: conclude(failed()) }), undefined],
    [
      'with a temporary failure of an assigned build waits for the next attempt',
      conclude(failed({ final: false }), { attempt: { number: 2, max: 3 } }),
      { state: 'Queued', attempts: 2, retryable: true, message: `attempt 2 of 3 failed on ${NODE}: no such attribute` },
    ],
    [
      'with the last attempt of an assigned build is given up',
      conclude(failed({ final: false }), { attempt: { number: 3, max: 3 } }),
      { state: 'Failed', attempts: 3, message: `given up after 3 attempts on ${NODE}: no such attribute` },
    ],
    [
      'with a final failure of an assigned build has no further attempt',
      conclude(failed(), { attempt: { number: 1, max: 3 } }),
      { state: 'Failed', message: 'no such attribute' },
    ],
  ])('%s', (_name, build, expected) => {
    if (expected) expect(build).toMatchObject(expected)
    else expect(build).toBeUndefined()
  })

  it('badly has texts that the API server accepts', () => {
    const build = conclude(failed({ message: 'x'.repeat(9999), logTail: 'x'.repeat(9999) }))
    expect(build?.message).toHaveLength(NIXNODE_LIMITS.message)
    expect(build?.logTail).toHaveLength(NIXNODE_LIMITS.logTail)
  })
})
