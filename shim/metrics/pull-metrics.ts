import { Counter, Histogram, type Registry } from 'prom-client'
import { type ErrorCode, isUnanswered, type ShimError } from '../../lib/errors.ts'
import { createGauges } from '../../lib/http/gauges.ts'
import type { PullReporter, RunReport } from '../pull/contract.ts'
import type { PullProgress } from '../pull/progress.ts'
import type { PullLog } from '../pull/pull-log.ts'

/** In seconds: from an image whose store paths exist to a build that takes an hour. */
const BUCKETS = [0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600]

/**
 * Counts and times pulls and their stages. The pull log provides the numbers of running and waiting pulls at each
 * scrape.
 */
export function countPulls(pullLog: PullLog, registry: Registry): PullReporter {
  const pulls = outcomes(registry, 'pull', 'pulls', {
    count: 'Pulls of images that have a recipe. Pulls that share a run count once.',
    time: 'Time in seconds from the start of a run to its end, including the queue. Refused pulls do not count.',
  })
  const builds = outcomes(registry, 'build', 'builds', {
    count: 'Runs of nix. A pull whose result is in the store has none.',
    time: 'Time in seconds of a run of nix, including fetching from binary caches, without the queue.',
  })
  const copies = outcomes(registry, 'copy', 'copies', {
    count: 'Store paths that were copied from another node or a store instead of built.',
    time: 'Time in seconds of the copy of a store path from another node or a store.',
  })
  const imports = outcomes(registry, 'import', 'imports', {
    count: 'Imports of build results into containerd.',
    time: 'Time in seconds from the end of a build to the end of the import.',
  })
  addGauges(pullLog, registry)
  /** Errors of runs, because all requests of a run fail with the same error. */
  const counted = new WeakSet<ShimError>()

  /** The progress of a run shows its stage. */
  function timeRun(): RunReport {
    const startedAt = performance.now()
    let stage: { readonly outcomes: Outcomes; readonly startedAt: number } | undefined
    const enter = (next: Outcomes) => {
      stage ??= { outcomes: next, startedAt: performance.now() }
    }
    const leave = (code?: ErrorCode) => {
      stage?.outcomes.end(code, stage.startedAt)
      stage = undefined
    }
    return {
      progress({ phase }) {
        // The evaluation before a copy is not a build, and a copy that fails is followed by another one or a build.
        if (phase === 'waiting' || phase === 'copying') stage = stage?.outcomes === copies ? stage : undefined
        if (phase === 'copying') enter(copies)
        if (BUILDING.has(phase)) {
          if (stage?.outcomes === copies) stage = undefined
          enter(builds)
        }
        if (phase === 'built') {
          leave()
          // An import reports no progress before it has read something, so one that fails early must also count.
          enter(imports)
        }
        if (phase === 'present') stage = undefined
      },
      done(outcome) {
        leave()
        // Pulls of existing images would distort the durations of the others.
        if (outcome.present && outcome.runId === undefined) pulls.notRun('succeeded')
        else pulls.end(undefined, startedAt)
      },
      failed(error) {
        leave(error.code)
        pulls.end(error.code, startedAt)
        counted.add(error)
      },
    }
  }

  return {
    refused: (_request, error) => pulls.notRun('refused', error.code),
    waiting: () => ({
      done() {},
      failed(error) {
        if (!counted.has(error) && !isUnanswered(error)) pulls.notRun('failed', error.code)
      },
    }),
    started: timeRun,
    imagesChanged() {},
  }
}

type Phase = PullProgress['phase']
const BUILDING = new Set<Phase>(['evaluating', 'fetching', 'building'])
const IMPORTING = new Set<Phase>(['built', 'importing', 'unpacking'])

interface Outcomes {
  /** `code` of a failure; `startedAt` by `performance.now()`. */
  end(code: ErrorCode | undefined, startedAt: number): void
  /** Counts a pull without a meaningful duration. */
  notRun(result: 'succeeded' | 'failed' | 'refused', code?: ErrorCode): void
}

/** Help texts. */
interface Help {
  readonly count: string
  readonly time: string
}

function outcomes(registry: Registry, what: string, plural: string, help: Help): Outcomes {
  const registers = [registry]
  const count = new Counter({
    name: `enbi_shim_${plural}_total`,
    help: `${help.count} Label code: the error code, empty on success.`,
    labelNames: ['result', 'code'],
    registers,
  })
  const seconds = new Histogram({
    name: `enbi_shim_${what}_duration_seconds`,
    help: help.time,
    buckets: BUCKETS,
    registers,
  })
  count.inc({ result: 'succeeded', code: '' }, 0)
  return {
    end(code, startedAt) {
      count.inc({ result: code ? 'failed' : 'succeeded', code: code ?? '' })
      seconds.observe((performance.now() - startedAt) / 1000)
    },
    notRun: (result, code) => count.inc({ result, code: code ?? '' }),
  }
}

function addGauges({ runs }: PullLog, registry: Registry): void {
  const gauge = createGauges(registry)
  const countIn = (phases: ReadonlySet<Phase>) => () =>
    runs().filter(({ progress }) => progress && phases.has(progress.phase)).length
  gauge('enbi_shim_builds_queued', 'Builds that wait for a place.', countIn(new Set(['queued'])))
  gauge('enbi_shim_builds_running', 'Builds in progress.', countIn(BUILDING))
  gauge('enbi_shim_builds_elsewhere', 'Pulls that wait for a build of another node.', countIn(new Set(['waiting'])))
  gauge('enbi_shim_copies_running', 'Copies from other nodes or stores in progress.', countIn(new Set(['copying'])))
  gauge('enbi_shim_imports_running', 'Imports in progress.', countIn(IMPORTING))
  gauge('enbi_shim_pulls_waiting', 'Requests that wait for an image.', () =>
    runs().reduce((sum, { waiting }) => sum + waiting.length, 0),
  )
}
