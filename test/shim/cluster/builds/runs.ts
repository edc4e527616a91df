import { parseFlakeUrl } from '../../../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../../../recipes/recipe.ts'
import type { ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'
import type { ImageRequest } from '../../../../shim/pull/contract.ts'

export const NODE = 'node-1'
/** 2026-01-01, in milliseconds. */
export const NOW = Date.UTC(2026, 0, 1)
export const IMAGE_ID = `sha256:${'a'.repeat(64)}`

export function recipe(tag: string | number = 1): FlakeRecipe {
  return {
    image: `registry.example/team/app:${tag}`,
    flake: parseFlakeUrl('github:team/app'),
    packageName: 'image',
    system: 'x86_64-linux',
  }
}

export function requestOf(pod: string, { namespace = 'team', tag = 1 as string | number } = {}): ImageRequest {
  return { recipe: recipe(tag), namespace, pod: { namespace, name: pod, uid: `uid-of-${pod}` } }
}

/** A run that started two seconds ago. */
export function running(facts: Partial<ReportedRunState> = {}): ReportedRunState {
  const startedAt = NOW - 2000
  return {
    startedAt,
    phase: 'Building',
    phaseSince: startedAt,
    isWorking: true,
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

export function failed(outcome: { message?: string; logTail?: string; final?: boolean; at?: number } = {}) {
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
