import { describe, expect, it } from 'vitest'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import { createActivity } from '../../../shim/pull/pull-log.ts'

const flake = parseFlakeUrl('github:team/app')
const DONE = { imageId: 'sha256:1', storePath: '/nix/store/a', runId: 'run-1', present: false }

function recipe(image: string): Recipe {
  return { image, flake, packageName: 'app', system: 'x86_64-linux' }
}

function setUp() {
  const activity = createActivity()
  const counted = { changes: 0 }
  activity.onChange(() => {
    counted.changes += 1
  })
  return { activity, counted }
}

describe('a run', () => {
  it('is there from the first who waits to the last, and as long as it goes on', () => {
    const { activity } = setUp()
    const wish = { recipe: recipe('app:1'), namespace: 'team' }
    const wait = activity.waits(wish)
    expect(activity.runs()).toMatchObject([{ recipe: wish.recipe, waiting: [wish], progress: undefined }])
    const run = activity.began(recipe('app:1'))
    wait.done()
    expect(activity.runs()).toMatchObject([{ recipe: wish.recipe, waiting: [] }])
    run.done(DONE)
    expect(activity.runs()).toEqual([])
  })

  it('has its latest progress, lines of a log aside, and the id of its log', () => {
    const { activity, counted } = setUp()
    const run = activity.began(recipe('app:1'))
    run.progress({ phase: 'evaluating', runId: 'run-1' })
    run.progress({ phase: 'building', done: 1, expected: 3 })
    const { changes } = counted
    run.progress({ phase: 'log', line: 'hello' })
    expect(counted.changes).toBe(changes)
    expect(activity.runs()).toMatchObject([{ runId: 'run-1', progress: { phase: 'building', done: 1 } }])
  })

  it('of another recipe under the same tag is another one', () => {
    const { activity } = setUp()
    activity.began(recipe('app:1'))
    activity.began({ ...recipe('app:1'), packageName: 'other' })
    expect(activity.runs()).toHaveLength(2)
  })
})

describe('results', () => {
  it('are the latest 20, the newest first', () => {
    const { activity } = setUp()
    for (let number = 1; number <= 30; number += 1) activity.began(recipe(`app:${number}`)).done(DONE)
    const images = activity.results().map(({ recipe: { image } }) => image)
    expect(images).toEqual(Array.from({ length: 20 }, (_, index) => `app:${30 - index}`))
  })

  it('that repeat take one place and are counted, until one is different', () => {
    const { activity } = setUp()
    const fail = () => activity.began(recipe('app:1')).failed(new FinalError('BuilderFailed', 'no'))
    const ends = () => activity.results().map(({ ending, times }) => [ending.kind, times])
    fail()
    activity.began(recipe('other:1')).done(DONE)
    fail()
    expect(ends()).toEqual([
      ['failed', 2],
      ['done', 1],
    ])
    activity.began(recipe('app:1')).failed(new RetryableError('FetchFailed', 'no'))
    fail()
    expect(ends()).toEqual([
      ['failed', 1],
      ['failed', 1],
      ['failed', 2],
      ['done', 1],
    ])
  })

  it('are none where nothing had to be done', () => {
    const { activity } = setUp()
    activity.began(recipe('app:1')).done({ imageId: 'sha256:1', present: true })
    expect(activity.results()).toEqual([])
    activity.began(recipe('app:1')).done({ ...DONE, present: true })
    expect(activity.results()).toHaveLength(1)
  })

  it('are refusals, too, which nothing was run for', () => {
    const { activity } = setUp()
    activity.refused({ recipe: recipe('app:1'), namespace: 'team' }, new FinalError('PolicyRefused', 'no rule'))
    expect(activity.results()).toMatchObject([
      { tookMs: undefined, runId: undefined, ending: { code: 'PolicyRefused', message: 'no rule' } },
    ])
  })

  it('are failures that kept a run from beginning, too', () => {
    const { activity } = setUp()
    const wait = () => activity.waits({ recipe: recipe('app:1'), namespace: 'team' })
    wait().failed(new RetryableError('Cancelled', 'the caller went away'))
    expect(activity.results()).toEqual([])
    wait().failed(new RetryableError('ImageNotOurs', 'not ours'))
    expect(activity.results()).toMatchObject([{ tookMs: undefined, ending: { code: 'ImageNotOurs' } }])
    expect(activity.runs()).toEqual([])
  })

  it('are one for all who waited for a run that failed; who is told of it later counts', () => {
    const { activity } = setUp()
    const wait = () => activity.waits({ recipe: recipe('app:1'), namespace: 'team' })
    const error = new FinalError('BuilderFailed', 'no')
    const waits = [wait(), wait()]
    const run = activity.began(recipe('app:1'))
    run.progress({ phase: 'evaluating', runId: 'run-1' })
    run.failed(error)
    for (const each of waits) each.failed(error)
    expect(activity.results()).toMatchObject([{ times: 1, runId: 'run-1' }])
    wait().failed(error)
    expect(activity.results()).toMatchObject([{ times: 2, runId: 'run-1', tookMs: expect.any(Number) }])
  })

  it.each([
    ['one line', 'one line'],
    ['it failed: why', 'it failed: why'],
    ['it failed. The end of its log:\nhello', 'it failed.'],
    ['it failed with these words:\nhello', 'it failed with these words:'],
    ['x'.repeat(400), 'x'.repeat(300)],
  ])('have the first line of the message: %s', (message, text) => {
    const { activity } = setUp()
    activity.began(recipe('app:1')).failed(new FinalError('BuilderFailed', message))
    expect(activity.results()[0]?.ending).toMatchObject({ message: text })
  })
})

describe('whoever listens', () => {
  it('hears of every change until it has enough', () => {
    const { activity } = setUp()
    let heard = 0
    const stop = activity.onChange(() => {
      heard += 1
    })
    activity.imagesChanged()
    activity.waits({ recipe: recipe('app:1'), namespace: 'team' }).done()
    expect(heard).toBe(3)
    stop()
    activity.imagesChanged()
    expect(heard).toBe(3)
  })

  it('is told apart what may have changed images', () => {
    const { activity } = setUp()
    const before = activity.imageChanges()
    const run = activity.began(recipe('app:1'))
    expect(activity.imageChanges()).toBe(before)
    run.done(DONE)
    activity.imagesChanged()
    expect(activity.imageChanges()).toBe(before + 2)
  })
})
