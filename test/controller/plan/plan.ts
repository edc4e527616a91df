import type { NixBuildFacts } from '../../../controller/plan/nixbuild-facts.ts'
import { planNixBuild } from '../../../controller/plan/plan-nixbuild.ts'
import { someBuild } from '../views.ts'

export const NOW = Date.parse('2026-01-01T01:00:00Z')
const LIMITS = { unwantedGraceMs: 30_000, lostGraceMs: 10_000, builderGraceMs: 30_000, maxAttempts: 3 }

/** Metadata of a NixBuild that was assigned to node-1. */
export const assigned = { labels: { 'enbi.hrzn.ee/node': 'node-1' } }

/** Plans a NixBuild in a healthy cluster, except for `facts`. */
export function plan(build: Parameters<typeof someBuild>[0], facts: Partial<NixBuildFacts> = {}) {
  return planNixBuild({
    build: someBuild(build),
    requestingPods: facts.waitingPods ?? 0,
    waitingPods: 0,
    pullingPods: 0,
    strandedPods: 0,
    assignedNode:
      build?.metadata && 'labels' in build.metadata && build.metadata.labels === assigned.labels ? 'node-1' : undefined,
    problemOfNode: () => undefined,
    problemOfShim: facts.problemOfNode ?? (() => undefined),
    isRequestedOn: () => false,
    nodeExists: () => true,
    chooseNode: () => ({ node: 'node-2' }),
    memory: {},
    limits: LIMITS,
    now: NOW,
    ...facts,
  })
}
