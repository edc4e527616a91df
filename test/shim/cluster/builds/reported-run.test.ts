import { describe, expect, it } from 'vitest'
import { FinalError, RetryableError, type ShimError } from '../../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../../recipes/flake-url.ts'
import { createReportedRun, type ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'
import { IMAGE_ID, NOW } from './runs.ts'

const recipe = {
  image: 'registry.example/team/app:1',
  flake: parseFlakeUrl('github:team/app'),
  packageName: 'image',
  system: 'x86_64-linux',
}

const LOCKED = `github:team/app/${'a'.repeat(40)}`

function makeRun(options: { imageSize?: number; flakeUrl?: string } = {}) {
  const clock = { now: NOW }
  const flake = parseFlakeUrl(options.flakeUrl ?? recipe.flake.url)
  const run = createReportedRun(
    { ...recipe, flake },
    { now: () => clock.now, imageSize: async () => options.imageSize },
  )
  return { run, clock }
}

describe('the reported state of a run', () => {
  it.each<[string, Parameters<ReturnType<typeof createReportedRun>['progress']>[0], Partial<ReportedRunState>]>([
    ['show its place in the queue', { phase: 'queued', ahead: 2 }, { phase: 'Queued', progress: 'waiting, 2 ahead' }],
    [
      'show the evaluation',
      { phase: 'evaluating', runId: 'r' },
      { phase: 'Building', isWorking: false, runId: 'r', progress: 'evaluating the flake' },
    ],
    [
      'show the content of an unlocked flake as soon as it is known',
      { phase: 'evaluating', runId: 'r', lockedFlakeUrl: LOCKED },
      { lockedFlakeUrl: LOCKED },
    ],
    [
      'show the derivation that it builds',
      { phase: 'building', done: 2, expected: 7, current: 'hello' },
      { phase: 'Building', isWorking: true, progress: 'building 2 of 7, hello' },
    ],
    [
      'show the store path after the build',
      { phase: 'built', storePath: '/nix/store/x' },
      { phase: 'Building', storePath: '/nix/store/x' },
    ],
    [
      'show which node it waits for, without what that node says',
      { phase: 'waiting', node: 'worker-3', progress: 'building 12 of 40' },
      { phase: 'Queued', isWorking: true, progress: 'waiting for worker-3' },
    ],
    [
      'show where it copies from, without numbers',
      { phase: 'copying', from: 'worker-3', doneBytes: 1e6, expectedBytes: 2e6 },
      { phase: 'Importing', isWorking: true, progress: 'copying from worker-3' },
    ],
    [
      'show the size during the import',
      { phase: 'importing', doneBytes: 1e6, totalBytes: 2e6 },
      { phase: 'Importing', progress: 'importing 1.0 MB of 2.0 MB' },
    ],
    [
      'show the phase while the image is unpacked',
      { phase: 'unpacking', done: 1, expected: 2 },
      { phase: 'Importing' },
    ],
  ])('%s', (_name, progress, expected) => {
    const { run } = makeRun()
    run.progress(progress)
    expect(run.state()).toMatchObject(expected)
  })

  it('have the start of its phase, not of its latest progress', () => {
    const { run, clock } = makeRun()
    for (const doneBytes of [1, 2]) {
      clock.now += 1000
      run.progress({ phase: 'importing', doneBytes })
    }
    expect(run.state().phaseSince).toBe(NOW + 1000)
  })

  it('have a locked URL only if the flake is locked', () => {
    const flakeUrl = `github:team/app/${'a'.repeat(40)}`
    expect(makeRun({ flakeUrl }).run.state().lockedFlakeUrl).toBe(flakeUrl)
    expect(makeRun().run.state().lockedFlakeUrl).toBeUndefined()
  })

  it('have the locked URL of the content that was built at the end', async () => {
    const { run } = makeRun()
    const lockedFlakeUrl = `github:team/app/${'b'.repeat(40)}`
    run.done({ imageId: IMAGE_ID, lockedFlakeUrl, present: false })
    expect((await run.ended).lockedFlakeUrl).toBe(lockedFlakeUrl)
  })

  it('have image, size, store path and run id at the end', async () => {
    const { run } = makeRun({ imageSize: 42 })
    run.done({ imageId: IMAGE_ID, storePath: '/nix/store/x', runId: 'r', present: false })
    expect(await run.ended).toMatchObject({
      storePath: '/nix/store/x',
      runId: 'r',
      outcome: { kind: 'Succeeded', at: NOW, imageId: IMAGE_ID, imageSize: 42, present: false },
    })
  })

  it('have the last lines of the log if it fails', async () => {
    const { run } = makeRun()
    for (let line = 1; line <= 100; line += 1) run.progress({ phase: 'log', line: `line ${line} ${'x'.repeat(1000)}` })
    run.failed(new FinalError('BuilderFailed', 'no'))
    const { outcome } = await run.ended
    const lines = outcome?.kind === 'Failed' ? outcome.logTail.split('\n') : []
    expect(lines).toHaveLength(8)
    expect(lines.at(-1)).toMatch(/^line 100 x{491}$/)
    expect(Buffer.byteLength(lines.join('\n'))).toBeLessThan(4096)
  })

  it.each<[string, ShimError, object]>([
    ['permanently', new FinalError('BuilderFailed', 'no'), { kind: 'Failed', message: 'no', final: true }],
    ['temporarily', new RetryableError('FetchFailed', 'no'), { kind: 'Failed', final: false }],
    [
      'because no request waits for it',
      new RetryableError('Cancelled', 'left'),
      { kind: 'Cancelled', message: 'left' },
    ],
    ['because the shim stops', new RetryableError('ShuttingDown', 'stop'), { kind: 'Cancelled' }],
    [
      'with an endless message',
      new FinalError('BuilderFailed', 'x'.repeat(99_999)),
      { message: expect.stringMatching(/^.{1,4100}$/s) },
    ],
  ])('have the outcome of a run that fails %s', async (_name, error, expected) => {
    const { run } = makeRun()
    run.failed(error)
    expect((await run.ended).outcome).toMatchObject(expected)
  })
})

it('a failed run does not name the content of an unlocked flake, so that the next one builds what the flake is then', async () => {
  const { run } = makeRun()
  run.progress({ phase: 'evaluating', runId: 'r', lockedFlakeUrl: LOCKED })
  run.failed(new FinalError('EvaluationFailed', 'a syntax error'))
  const ended = await run.ended
  expect(ended).toMatchObject({ outcome: { kind: 'Failed' } })
  expect(ended.lockedFlakeUrl).toBeUndefined()
})

it('a run notifies its listeners of every change, but not of each line of the log', () => {
  const { run } = makeRun()
  let calls = 0
  const stop = run.onChange(() => {
    calls += 1
  })
  run.progress({ phase: 'evaluating', runId: 'r' })
  run.progress({ phase: 'log', line: 'x' })
  expect(calls).toBe(1)
  stop()
  run.progress({ phase: 'built', storePath: '/nix/store/x' })
  expect(calls).toBe(1)
})
