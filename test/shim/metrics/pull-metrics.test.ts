import { Registry } from 'prom-client'
import { expect, onTestFinished, test, vi } from 'vitest'
import { FinalError, RetryableError, type ShimError } from '../../../lib/errors.ts'
import { countPulls } from '../../../shim/metrics/pull-metrics.ts'
import type { ImageRequest, RunReport } from '../../../shim/pull/contract.ts'
import type { PullProgress } from '../../../shim/pull/progress.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import { reportToAll } from '../../../shim/pull/reporters.ts'

const request: ImageRequest = {
  recipe: { image: 'registry.example/app:1', storePath: '/nix/store/00000000000000000000000000000000-app' },
  namespace: 'team-a',
}
const builderFailed = new FinalError('BuilderFailed', 'it failed')
const done = (run: RunReport) => run.done({ imageId: 'sha256:0', present: false })
const failed = (error: ShimError) => (run: RunReport) => run.failed(error)

const evaluating: PullProgress = { phase: 'evaluating', runId: 'one' }
const building: PullProgress = { phase: 'building', done: 0, expected: 1 }
const fetching: PullProgress = { phase: 'fetching', doneBytes: 0, expectedBytes: 1 }
const waiting: PullProgress = { phase: 'waiting', node: 'worker-3', progress: '' }
const copying: PullProgress = { phase: 'copying', from: 'worker-3', doneBytes: 0, expectedBytes: 0 }
const built: PullProgress = { phase: 'built', storePath: '/nix/store/00000000000000000000000000000000-app' }
const importing: PullProgress = { phase: 'importing', doneBytes: 1 }
const unpacking: PullProgress = { phase: 'unpacking', done: 0, expected: 1 }
const present: PullProgress = { phase: 'present' }

/** Counters and numbers of durations that are not 0. */
async function counts(registry: Registry): Promise<string[]> {
  const text = await registry.metrics()
  const lines = text.split('\n').filter(line => /^\w+(_total\{|_count )/.test(line) && !line.endsWith(' 0'))
  return lines.map(line => line.replace('enbi_shim_', '').replace('result=', '').replace('code=', '')).toSorted()
}

function count() {
  const registry = new Registry()
  const pullLog = createPullLog()
  return { reporter: reportToAll([pullLog, countPulls(pullLog, registry)]), registry }
}

test.each([
  [
    'that is built and imported',
    [evaluating, building, fetching, building, built, importing, unpacking],
    done,
    [
      'build_duration_seconds_count 1',
      'builds_total{"succeeded",""} 1',
      'import_duration_seconds_count 1',
      'imports_total{"succeeded",""} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"succeeded",""} 1',
    ],
  ],
  [
    'whose result exists has no build',
    [built, importing],
    done,
    [
      'import_duration_seconds_count 1',
      'imports_total{"succeeded",""} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"succeeded",""} 1',
    ],
  ],
  [
    'that waits for another node and copies has no build',
    [evaluating, waiting, copying, waiting, copying, built, importing],
    done,
    [
      'copies_total{"succeeded",""} 1',
      'copy_duration_seconds_count 1',
      'import_duration_seconds_count 1',
      'imports_total{"succeeded",""} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"succeeded",""} 1',
    ],
  ],
  [
    'that cannot be copied is built',
    [evaluating, waiting, copying, building, built],
    done,
    [
      'build_duration_seconds_count 1',
      'builds_total{"succeeded",""} 1',
      'import_duration_seconds_count 1',
      'imports_total{"succeeded",""} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"succeeded",""} 1',
    ],
  ],
  [
    'whose image exists has neither build nor import',
    [built, present],
    done,
    ['pull_duration_seconds_count 1', 'pulls_total{"succeeded",""} 1'],
  ],
  [
    'whose build fails has no import',
    [evaluating, building],
    failed(builderFailed),
    [
      'build_duration_seconds_count 1',
      'builds_total{"failed","BuilderFailed"} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"failed","BuilderFailed"} 1',
    ],
  ],
  [
    'whose import fails before reading anything has a failed import',
    [evaluating, built],
    failed(new FinalError('NotAnImage', 'not an image')),
    [
      'build_duration_seconds_count 1',
      'builds_total{"succeeded",""} 1',
      'import_duration_seconds_count 1',
      'imports_total{"failed","NotAnImage"} 1',
      'pull_duration_seconds_count 1',
      'pulls_total{"failed","NotAnImage"} 1',
    ],
  ],
])('a pull %s', async (_which, events, end, expected) => {
  const { reporter, registry } = count()
  const run = reporter.started(request.recipe)
  for (const event of events) run.progress(event)
  end(run)
  expect(await counts(registry)).toEqual(expected)
})

test('requests of one failed run count as one pull, including those that get the error later', async () => {
  const { reporter, registry } = count()
  const waits = [reporter.waiting(request), reporter.waiting(request)]
  reporter.started(request.recipe).failed(builderFailed)
  for (const wait of [...waits, reporter.waiting(request)]) wait.failed(builderFailed)
  expect(await counts(registry)).toEqual(['pull_duration_seconds_count 1', 'pulls_total{"failed","BuilderFailed"} 1'])
})

test.each([
  ['a failure before a run', new RetryableError('NixMissing', 'no nix'), ['pulls_total{"failed","NixMissing"} 1']],
  ['a cancelled request', new RetryableError('Cancelled', 'it left'), []],
])('%s is counted as %o', async (_what, error, expected) => {
  const { reporter, registry } = count()
  reporter.waiting(request).failed(error)
  expect(await counts(registry)).toEqual(expected)
})

test('running and waiting pulls are reported as they are now', async () => {
  const { reporter, registry } = count()
  const wait = reporter.waiting(request)
  const run = reporter.started(request.recipe)
  const read = async () => {
    const text = await registry.metrics()
    return [...text.matchAll(/^enbi_shim_(builds_queued|builds_running|imports_running|pulls_waiting) 1$/gm)].map(
      match => match[1],
    )
  }
  run.progress({ phase: 'queued', ahead: 0 })
  expect(await read()).toEqual(['builds_queued', 'pulls_waiting'])
  run.progress(building)
  expect(await read()).toEqual(['builds_running', 'pulls_waiting'])
  run.progress(built)
  expect(await read()).toEqual(['imports_running', 'pulls_waiting'])
  done(run)
  wait.done()
  expect(await read()).toEqual([])
})

test('times are in seconds, up to an hour', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const { reporter, registry } = count()
  const run = reporter.started(request.recipe)
  run.progress(evaluating)
  vi.advanceTimersByTime(90_000)
  run.progress(built)
  vi.advanceTimersByTime(3_000)
  done(run)
  const text = await registry.metrics()
  const lines = (name: string) =>
    text.split('\n').filter(line => line.startsWith(`enbi_shim_${name}_duration_seconds_`))
  expect(lines('build')).toEqual(expect.arrayContaining(['enbi_shim_build_duration_seconds_sum 90']))
  expect(lines('import')).toEqual(expect.arrayContaining(['enbi_shim_import_duration_seconds_sum 3']))
  expect(lines('pull')).toEqual(expect.arrayContaining(['enbi_shim_pull_duration_seconds_sum 93']))
  const upTo = (le: number, calls: number) => `enbi_shim_build_duration_seconds_bucket{le="${le}"} ${calls}`
  expect(lines('build')).toEqual(expect.arrayContaining([upTo(60, 0), upTo(120, 1), upTo(3600, 1)]))
})
