import { Counter, Histogram, type Registry } from 'prom-client'
import type { ErrorCode, ShimError } from '../../lib/errors.ts'
import { createGauges } from '../../lib/http/gauges.ts'
import type { PullReporter, RunReport } from '../pull/contract.ts'
import type { PullProgress } from '../pull/progress.ts'
import type { PullLog } from '../pull/pull-log.ts'

/** Seconds: from an image whose store paths are there to a build that takes an hour. */
const BUCKETS = [0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600]

/** Counts and times pulls and their stages. What runs and waits at a scrape is read from the pull log. */
export function countPulls(pullLog: PullLog, registry: Registry): PullReporter {
  const pulls = outcomes(registry, 'pull', 'Pulls of recipes; those that share one run count once.')
  const builds = outcomes(registry, 'build', 'Runs of nix for recipes, fetching from binary caches included.')
  const imports = outcomes(registry, 'import', 'Imports of build outputs into containerd.')
  addGauges(pullLog, registry)
  /** Failures of runs: every request of a run fails with the same error. */
  const counted = new WeakSet<ShimError>()

  /** Which stage a run is in is told by its progress. */
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
        if (BUILDING.has(phase)) enter(builds)
        if (phase === 'built') {
          leave()
          // An import says nothing before it has read something: one that fails at once is one, too.
          enter(imports)
        }
        if (phase === 'present') stage = undefined
      },
      done(outcome) {
        leave()
        // One whose image was there all along would hide what the others take.
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
        if (!counted.has(error) && error.code !== 'Cancelled') pulls.notRun('failed', error.code)
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
  /** It took no time that would say anything. */
  notRun(result: 'succeeded' | 'failed' | 'refused', code?: ErrorCode): void
}

function outcomes(registry: Registry, what: string, help: string): Outcomes {
  const registers = [registry]
  const count = new Counter({
    name: `enbi_shim_${what}s_total`,
    help: `${help} Label code: empty, or the error's.`,
    labelNames: ['result', 'code'],
    registers,
  })
  const seconds = new Histogram({
    name: `enbi_shim_${what}_duration_seconds`,
    help: `${help} Time that they took, failed ones included.`,
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
  gauge('enbi_shim_builds_queued', 'Builds that wait for their turn.', countIn(new Set(['queued'])))
  gauge('enbi_shim_builds_running', 'Builds that run.', countIn(BUILDING))
  gauge('enbi_shim_imports_running', 'Imports that run.', countIn(IMPORTING))
  gauge('enbi_shim_pulls_waiting', 'Callers that wait for the image of a recipe.', () =>
    runs().reduce((sum, { waiting }) => sum + waiting.length, 0),
  )
}
