import { type NixBuild, type NixBuildStatus, nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import type { ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'

export const NODE = 'node-1'
/** 2026-01-01, in milliseconds. */
export const NOW = Date.UTC(2026, 0, 1)
export const IMAGE_ID = `sha256:${'a'.repeat(64)}`

interface Making {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly created?: string
  readonly spec?: Partial<NixBuild['spec']>
  readonly status?: Partial<NixBuildStatus>
}

/** As the API server would send it. */
export function nixBuild({ name = 'web', labels = {}, created = '2026-01-01T00:00:00Z', spec, status }: Making = {}) {
  return nixBuilds.parse({
    metadata: {
      name,
      namespace: 'team',
      uid: name,
      resourceVersion: '1',
      generation: 1,
      labels,
      creationTimestamp: created,
    },
    spec: {
      flakeUrl: 'github:team/app',
      imageTag: 'registry.example/team/app:1',
      packageName: 'image',
      system: 'x86_64-linux',
      ...spec,
    },
    status,
  })
}

/** A run that started two seconds ago. */
export function running(facts: Partial<ReportedRunState> = {}): ReportedRunState {
  const startedAt = NOW - 2000
  return {
    startedAt,
    phase: 'Building',
    phaseSince: startedAt,
    progress: 'evaluating the flake',
    runId: 'run-1',
    ...facts,
  }
}

export function succeeded(facts: Partial<ReportedRunState> = {}): ReportedRunState {
  return running({
    storePath: '/nix/store/x-image',
    outcome: { kind: 'Succeeded', at: NOW, imageId: IMAGE_ID, imageSize: 12_300_000, present: false },
    ...facts,
  })
}

export function failed(outcome: { message?: string; final?: boolean } = {}): ReportedRunState {
  return running({
    outcome: {
      kind: 'Failed',
      at: NOW,
      message: 'no such attribute',
      logTail: 'line 1\nline 2',
      final: true,
      ...outcome,
    },
  })
}

export function cancelled(): ReportedRunState {
  return running({ outcome: { kind: 'Cancelled', at: NOW, message: 'nobody waits' } })
}
