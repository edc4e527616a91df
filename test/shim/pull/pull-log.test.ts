import { describe, expect, it } from 'vitest'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'

const flake = parseFlakeUrl('github:team/app')
const DONE = { imageId: 'sha256:1', storePath: '/nix/store/a', runId: 'run-1', present: false }

function recipe(image: string): Recipe {
  return { image, flake, packageName: 'app', system: 'x86_64-linux' }
}

function setUp() {
  const pullLog = createPullLog()
  const counted = { changes: 0 }
  pullLog.onChange(() => {
    counted.changes += 1
  })
  return { pullLog, counted }
}

describe('a run', () => {
  it('is listed while a request waits for it or it runs', () => {
    const { pullLog } = setUp()
    const request = { recipe: recipe('app:1'), namespace: 'team' }
    const wait = pullLog.waiting(request)
    expect(pullLog.runs()).toMatchObject([{ recipe: request.recipe, waiting: [request], progress: undefined }])
    const run = pullLog.started(recipe('app:1'))
    wait.done()
    expect(pullLog.runs()).toMatchObject([{ recipe: request.recipe, waiting: [] }])
    run.done(DONE)
    expect(pullLog.runs()).toEqual([])
  })

  it('has its latest progress that is not a line of a log, and the id of its log', () => {
    const { pullLog, counted } = setUp()
    const run = pullLog.started(recipe('app:1'))
    run.progress({ phase: 'evaluating', runId: 'run-1' })
    run.progress({ phase: 'building', done: 1, expected: 3 })
    const { changes } = counted
    run.progress({ phase: 'log', line: 'hello' })
    expect(counted.changes).toBe(changes)
    expect(pullLog.runs()).toMatchObject([{ runId: 'run-1', progress: { phase: 'building', done: 1 } }])
  })

  it('of another recipe with the same tag is another run', () => {
    const { pullLog } = setUp()
    pullLog.started(recipe('app:1'))
    pullLog.started({ ...recipe('app:1'), packageName: 'other' })
    expect(pullLog.runs()).toHaveLength(2)
  })
})

describe('results', () => {
  it('are the latest 20, the newest first', () => {
    const { pullLog } = setUp()
    for (let number = 1; number <= 30; number += 1) pullLog.started(recipe(`app:${number}`)).done(DONE)
    const images = pullLog.results().map(({ recipe: { image } }) => image)
    expect(images).toEqual(Array.from({ length: 20 }, (_, index) => `app:${30 - index}`))
  })

  it('that repeat take one place and are counted, until another one follows', () => {
    const { pullLog } = setUp()
    const fail = () => pullLog.started(recipe('app:1')).failed(new FinalError('BuilderFailed', 'no'))
    const ends = () => pullLog.results().map(({ conclusion, times }) => [conclusion.kind, times])
    fail()
    pullLog.started(recipe('other:1')).done(DONE)
    fail()
    expect(ends()).toEqual([
      ['failed', 2],
      ['done', 1],
    ])
    pullLog.started(recipe('app:1')).failed(new RetryableError('FetchFailed', 'no'))
    fail()
    expect(ends()).toEqual([
      ['failed', 1],
      ['failed', 1],
      ['failed', 2],
      ['done', 1],
    ])
  })

  it('do not include runs that had nothing to do', () => {
    const { pullLog } = setUp()
    pullLog.started(recipe('app:1')).done({ imageId: 'sha256:1', present: true })
    expect(pullLog.results()).toEqual([])
    pullLog.started(recipe('app:1')).done({ ...DONE, present: true })
    expect(pullLog.results()).toHaveLength(1)
  })

  it('include refused requests', () => {
    const { pullLog } = setUp()
    pullLog.refused({ recipe: recipe('app:1'), namespace: 'team' }, new FinalError('PolicyRefused', 'no rule'))
    expect(pullLog.results()).toMatchObject([
      { tookMs: undefined, runId: undefined, conclusion: { code: 'PolicyRefused', message: 'no rule' } },
    ])
  })

  it('include failures before a run has started', () => {
    const { pullLog } = setUp()
    const wait = () => pullLog.waiting({ recipe: recipe('app:1'), namespace: 'team' })
    wait().failed(new RetryableError('Cancelled', 'the caller went away'))
    expect(pullLog.results()).toEqual([])
    wait().failed(new RetryableError('ImageNotOurs', 'not ours'))
    expect(pullLog.results()).toMatchObject([{ tookMs: undefined, conclusion: { code: 'ImageNotOurs' } }])
    expect(pullLog.runs()).toEqual([])
  })

  it('have one entry for all requests of a failed run; a later request that fails with it is counted', () => {
    const { pullLog } = setUp()
    const wait = () => pullLog.waiting({ recipe: recipe('app:1'), namespace: 'team' })
    const error = new FinalError('BuilderFailed', 'no')
    const waits = [wait(), wait()]
    const run = pullLog.started(recipe('app:1'))
    run.progress({ phase: 'evaluating', runId: 'run-1' })
    run.failed(error)
    for (const each of waits) each.failed(error)
    expect(pullLog.results()).toMatchObject([{ times: 1, runId: 'run-1' }])
    wait().failed(error)
    expect(pullLog.results()).toMatchObject([{ times: 2, runId: 'run-1', tookMs: expect.any(Number) }])
  })

  it.each([
    ['one line', 'one line'],
    ['it failed: why', 'it failed: why'],
    ['it failed. The end of its log:\nhello', 'it failed.'],
    ['it failed with these words:\nhello', 'it failed with these words:'],
    ['x'.repeat(400), 'x'.repeat(300)],
  ])('have the first line of the message: %s', (message, text) => {
    const { pullLog } = setUp()
    pullLog.started(recipe('app:1')).failed(new FinalError('BuilderFailed', message))
    expect(pullLog.results()[0]?.conclusion).toMatchObject({ message: text })
  })
})

describe('a listener', () => {
  it('hears of every change until it stops', () => {
    const { pullLog } = setUp()
    let heard = 0
    const stop = pullLog.onChange(() => {
      heard += 1
    })
    pullLog.imagesChanged()
    pullLog.waiting({ recipe: recipe('app:1'), namespace: 'team' }).done()
    expect(heard).toBe(3)
    stop()
    pullLog.imagesChanged()
    expect(heard).toBe(3)
  })

  it('can tell changes of images from other changes', () => {
    const { pullLog } = setUp()
    const before = pullLog.imageChanges()
    const run = pullLog.started(recipe('app:1'))
    expect(pullLog.imageChanges()).toBe(before)
    run.done(DONE)
    pullLog.imagesChanged()
    expect(pullLog.imageChanges()).toBe(before + 2)
  })
})
