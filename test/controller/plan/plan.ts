import type { NixBuildFacts } from '../../../controller/plan/nixbuild-facts.ts'
import { planNixBuild } from '../../../controller/plan/plan-nixbuild.ts'
import { someBuild } from '../views.ts'

export const NOW = Date.parse('2026-01-01T01:00:00Z')
const LIMITS = { unwantedGraceMs: 30_000, lostGraceMs: 10_000, builderGraceMs: 30_000, maxAttempts: 3, maxAssigned: 2 }

/** Plans a NixBuild in a healthy cluster, except for `facts`. */
export function plan(build: Parameters<typeof someBuild>[0], facts: Partial<NixBuildFacts> = {}) {
  return planNixBuild({
    build: someBuild(build),
    seenAt: NOW,
    entries: new Map(),
    isHeard: () => true,
    isRequested: facts.isWaitedFor ?? false,
    isWaitedFor: false,
    isPulled: false,
    isStranded: false,
    isFetched: false,
    selection: undefined,
    assignedNode: undefined,
    assignedInNamespace: 0,
    problemOfNode: () => undefined,
    problemOfShim: facts.problemOfNode ?? (() => undefined),
    isFetchOnly: () => false,
    isRequestedOn: () => true,
    waitingSince: () => Number.POSITIVE_INFINITY,
    chooseNode: () => ({ node: 'node-2' }),
    memory: {},
    writtenAt: undefined,
    limits: LIMITS,
    now: NOW,
    ...facts,
  })
}
