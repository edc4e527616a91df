import { describe, expect, it, vi } from 'vitest'
import { specOf } from '../../../../kube/resources/nixbuild-recipe.ts'
import type { NodeBuild } from '../../../../kube/resources/nixnode.ts'
import { FinalError, RetryableError } from '../../../../lib/errors.ts'
import { recipeKey } from '../../../../recipes/recipe.ts'
import { createNodeBuilds } from '../../../../shim/cluster/builds/node-builds.ts'
import { createClusterReporter } from '../../../../shim/cluster/cluster-reporter.ts'
import { PATIENT } from '../../../patience.ts'
import { IMAGE_ID, NODE, NOW, recipe, requestOf } from './runs.ts'

/** A reporter, and the builds that it reports to. */
function begin() {
  let now = NOW
  let presents = 0
  const builds = createNodeBuilds({
    node: NODE,
    now: () => now,
    onPresent: () => {
      presents += 1
    },
  })
  const reporter = createClusterReporter({
    ...{ builds, node: NODE, now: () => now },
    imageSize: async () => 42,
    recordEvent: () => {},
    imagesChanged: () => {},
  })
  const write = () => {
    const snapshot = builds.snapshot()
    snapshot.written(now)
    return snapshot.builds
  }
  return {
    ...{ builds, reporter, write },
    shown: () => builds.snapshot().builds,
    presents: () => presents,
    pass(ms: number) {
      now += ms
      return now
    },
  }
}

const done = { imageId: IMAGE_ID, storePath: '/nix/store/x', present: false }
/** The size of the image is asked for. */
const settled = () => new Promise(setImmediate)

describe('what the node reports of a pull', () => {
  it('is what its run does, with the pods that wait, until only the image is left', async () => {
    const bed = begin()
    const [one, two] = [bed.reporter.waiting(requestOf('one')), bed.reporter.waiting(requestOf('two'))]
    expect(bed.shown()).toMatchObject([
      { namespace: 'team', state: 'Queued', pods: [{ name: 'one' }, { name: 'two' }] },
    ])
    const run = bed.reporter.started(recipe())
    run.progress({ phase: 'building', done: 1, expected: 2 })
    expect(bed.shown()).toMatchObject([{ state: 'Building', progress: 'building 1 of 2', pods: [{}, {}] }])
    one.done()
    expect(bed.shown()).toMatchObject([{ state: 'Building', pods: [{ name: 'two', uid: 'uid-of-two' }] }])
    run.done(done)
    two.done()
    await settled()
    expect(bed.shown()).toMatchObject([{ state: 'Present', imageDigest: IMAGE_ID, imageSize: 42, pods: [] }])
    expect(bed.builds.present()).toHaveLength(1)
    expect(bed.presents()).toBe(1)
  })

  it.each([
    ['and its recipe, if the first report was not written before', false],
    ['alone, if the recipe was written before', true],
  ])('is in the end the image %s', async (_, isWritten) => {
    const bed = begin()
    const pull = async () => {
      const report = bed.reporter.waiting(requestOf('web'))
      const run = bed.reporter.started(recipe())
      run.progress({ phase: 'building', done: 1, expected: 2 })
      if (isWritten) bed.write()
      run.done(done)
      report.done()
      await settled()
    }
    await pull()
    const told = isWritten ? undefined : specOf(recipe())
    expect(bed.write().map(({ state, recipe }) => ({ state, recipe }))).toEqual([{ state: 'Present', recipe: told }])
    expect(bed.builds.dueAt()).toBeUndefined()
    expect(bed.builds.present().map(build => build.recipe)).toEqual([told])
  })

  it('has the end of the log from the 30th second on, and of the image until a minute later', async () => {
    const bed = begin()
    const report = bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    run.progress({ phase: 'building', done: 1, expected: 2 })
    run.progress({ phase: 'log', line: 'compiling' })
    expect(bed.write()[0]).not.toHaveProperty('logTail')
    expect(bed.builds.dueAt()).toBe(NOW + 30_000)
    bed.pass(30_000)
    expect(bed.write()).toMatchObject([{ state: 'Building', logTail: 'compiling' }])
    run.progress({ phase: 'log', line: 'linking' })
    await expect.poll(() => bed.builds.dueAt(), PATIENT).toBe(NOW + 40_000)
    bed.pass(10_000)
    expect(bed.write()).toMatchObject([{ logTail: 'compiling\nlinking' }])
    run.done(done)
    report.done()
    await settled()
    expect(bed.write()).toMatchObject([{ state: 'Present', logTail: 'compiling\nlinking' }])
    expect(bed.builds.present()[0]).not.toHaveProperty('logTail')
    bed.pass(61_000)
    expect(bed.builds.dueAt()).toBeUndefined()
    expect(bed.shown()[0]).not.toHaveProperty('logTail')
  })

  it('has the end of the log of an image until a minute after it could be written, also if a pod asks for it before', async () => {
    const bed = begin()
    const report = bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    run.progress({ phase: 'building', done: 1, expected: 1 })
    run.progress({ phase: 'log', line: 'the end' })
    bed.pass(31_000)
    run.done(done)
    report.done()
    await settled()
    // The API server is away.
    bed.pass(3_600_000)
    const again = bed.reporter.waiting(requestOf('again'))
    bed.reporter.started(recipe()).done({ ...done, present: true })
    again.done()
    await settled()
    expect(bed.builds.dueAt()).toBeDefined()
    expect(bed.write()).toMatchObject([{ state: 'Present', logTail: 'the end' }])
    bed.pass(59_000)
    expect(bed.shown()).toMatchObject([{ logTail: 'the end' }])
    bed.pass(2_000)
    expect(bed.shown()[0]).not.toHaveProperty('logTail')
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('names every pod that waits, also of a recipe that all pods of the node want', () => {
    const bed = begin()
    for (let pod = 0; pod < 110; pod += 1) bed.reporter.waiting(requestOf(`web-${pod}`))
    expect(bed.shown()[0]?.pods).toHaveLength(110)
  })

  it('names a pod between two of its pulls while the run continues, until it will not pull again', async () => {
    const bed = begin()
    const ended = Promise.withResolvers<void>()
    const promise = { break: vi.fn(ended.resolve), ended: ended.promise }
    const pull = bed.reporter.waiting(requestOf('web'))
    bed.reporter.started(recipe())
    bed.write()
    pull.promised?.(promise)
    pull.failed(new RetryableError('StillBuilding', 'still building'))
    expect(bed.shown()).toMatchObject([{ pods: [{ uid: 'uid-of-web' }] }])
    expect(bed.builds.dueAt()).toBeUndefined()
    bed.reporter.letGo(['uid-of-web'])
    expect(promise.break).toHaveBeenCalledOnce()
    await settled()
    expect(bed.shown()).toMatchObject([{ pods: [] }])
  })

  it('stays when the promise of an earlier run ends', async () => {
    const bed = begin()
    const ended = Promise.withResolvers<void>()
    const pull = bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    pull.promised?.({ break: () => {}, ended: ended.promise })
    pull.failed(new RetryableError('StillBuilding', 'still building'))
    run.failed(new RetryableError('Cancelled', 'nobody waits'))
    await settled()
    expect(bed.write()).toEqual([])
    bed.reporter.waiting(requestOf('other'))
    ended.resolve()
    await settled()
    expect(bed.shown()).toMatchObject([{ pods: [{ uid: 'uid-of-other' }] }])
  })

  it('is one build for each namespace', async () => {
    const bed = begin()
    const others = requestOf('web', { namespace: 'other' })
    bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    bed.reporter.waiting(others)
    run.progress({ phase: 'evaluating', runId: 'run-1' })
    expect(bed.shown()).toMatchObject([
      { namespace: 'team', state: 'Building', buildJobName: 'run-1' },
      { namespace: 'other', state: 'Building', buildJobName: 'run-1' },
    ])
    run.failed(new FinalError('BuilderFailed', 'no'))
    await settled()
    expect(bed.shown().map(({ state }) => state)).toEqual(['Failed', 'Failed'])
  })

  it('is nothing after the last request was withdrawn and the run has ended', async () => {
    const bed = begin()
    const report = bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    const cancelled = new RetryableError('Cancelled', 'nobody waits')
    report.failed(cancelled)
    expect(bed.shown()).toMatchObject([{ state: 'Queued', pods: [] }])
    run.failed(cancelled)
    await settled()
    expect(bed.shown()).toEqual([])
  })

  it('is the failure of a request that had no run', () => {
    const bed = begin()
    bed.reporter.refused(requestOf('web'), new FinalError('PolicyRefused', 'no rule'))
    expect(bed.shown()).toMatchObject([
      { state: 'Failed', message: 'no rule', retryable: false, recipe: { flakeUrl: 'github:team/app' }, pods: [] },
    ])
  })

  it('is the image that is present while another request only checks it', async () => {
    const bed = begin()
    await makeImage(bed)
    const run = bed.reporter.started(recipe())
    bed.reporter.waiting(requestOf('again'))
    run.progress({ phase: 'evaluating', runId: 'run-2' })
    expect(bed.shown()).toMatchObject([{ state: 'Present', pods: [{ name: 'again' }] }])
    run.progress({ phase: 'building', done: 0, expected: 1 })
    expect(bed.shown()).toMatchObject([{ state: 'Building', pods: [{ name: 'again' }] }])
    run.failed(new RetryableError('NixDaemonAway', 'away'))
    await settled()
    expect(bed.shown()).toMatchObject([{ state: 'Present' }])
  })

  it('is the new image for every namespace that had the one of its recipe', async () => {
    const bed = begin()
    await makeImage(bed)
    const report = bed.reporter.waiting(requestOf('web', { namespace: 'other' }))
    bed.reporter.started(recipe()).done({ ...done, imageId: 'sha256:1' })
    await settled()
    report.done()
    expect(bed.shown().map(({ namespace, imageDigest }) => [namespace, imageDigest])).toEqual([
      ['team', 'sha256:1'],
      ['other', 'sha256:1'],
    ])
  })

  it('leaves out callers whose namespace or pod can be none of Kubernetes', () => {
    const bed = begin()
    const { pod, ...request } = requestOf('web')
    bed.reporter.waiting({ ...request, namespace: 'x'.repeat(64) })
    bed.reporter.waiting({ ...request, namespace: '' })
    bed.reporter.waiting({ ...request, pod: { namespace: 'team', name: 'x'.repeat(254), uid: 'uid' } })
    expect(bed.shown()).toMatchObject([{ namespace: 'team', pods: [] }])
  })
})

describe('a pod that is released', () => {
  it('has its pulls cancelled, also later ones, and those of no other pod', () => {
    const bed = begin()
    const [goes, stays] = ['goes', 'stays'].map(pod => bed.reporter.waiting(requestOf(pod)))
    bed.reporter.letGo(['uid-of-goes'])
    expect(goes?.signal?.reason).toMatchObject({
      code: 'Cancelled',
      message: expect.stringContaining('pod was deleted'),
    })
    expect(stays?.signal?.aborted).toBe(false)
    expect(bed.reporter.waiting(requestOf('goes', { tag: 2 })).signal?.aborted).toBe(true)
  })
})

describe('the builds of a node', () => {
  it('are due for a write when they change, and not after it', async () => {
    const bed = begin()
    expect(bed.builds.dueAt()).toBeUndefined()
    const report = bed.reporter.waiting(requestOf('web'))
    expect(bed.builds.dueAt()).toBe(NOW + 1000)
    bed.write()
    expect(bed.builds.dueAt()).toBeUndefined()
    bed.pass(5000)
    bed.reporter.started(recipe()).done(done)
    report.done()
    await settled()
    expect(bed.builds.dueAt()).toBe(NOW + 5000)
    bed.write()
    bed.builds.retain(() => false)
    expect(bed.builds.dueAt()).toBe(NOW + 5000)
    expect(bed.write()).toEqual([])
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('are not due when a request is over before its first write', () => {
    const bed = begin()
    bed.reporter.waiting(requestOf('web')).failed(new RetryableError('Cancelled', 'left'))
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('stay due for what changes during a write', () => {
    const bed = begin()
    const snapshot = bed.builds.snapshot()
    bed.reporter.waiting(requestOf('web'))
    snapshot.written(NOW)
    expect(bed.builds.dueAt()).toBe(NOW + 1000)
  })

  it('are bounded: results go, and never what is waited for', async () => {
    const bed = begin()
    bed.reporter.waiting(requestOf('web', { tag: 'waits' }))
    for (let tag = 0; tag < 300; tag += 1) {
      bed.pass(1)
      bed.reporter.refused(requestOf('web', { tag }), new FinalError('PolicyRefused', 'no rule'))
    }
    const keys = bed.write().map(({ key }: NodeBuild) => key)
    expect(keys).toHaveLength(250)
    expect(keys[0]).toBe(recipeKey(recipe('waits')))
    expect(keys[1]).toBe(recipeKey(recipe(51)))
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('keep every image that was made while nothing could be written, and drop the oldest logs', async () => {
    const bed = begin()
    for (let tag = 0; tag < 100; tag += 1) {
      const report = bed.reporter.waiting(requestOf('web', { tag }))
      const run = bed.reporter.started(recipe(tag))
      for (let line = 0; line < 10; line += 1) run.progress({ phase: 'log', line: 'x'.repeat(400) })
      bed.pass(31_000)
      run.done(done)
      report.done()
      await settled()
    }
    const written = bed.write()
    expect(written).toHaveLength(100)
    const logged = written.map(({ logTail }, index) => (logTail === undefined ? -1 : index)).filter(index => index >= 0)
    expect(logged.length).toBeGreaterThan(10)
    expect(logged).toEqual(Array.from({ length: logged.length }, (_, index) => 100 - logged.length + index))
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('that are too many at work are not written again and again', () => {
    const bed = begin()
    for (let tag = 0; tag < 300; tag += 1) bed.reporter.waiting(requestOf('web', { tag }))
    expect(bed.write()).toHaveLength(250)
    expect(bed.builds.dueAt()).toBeUndefined()
  })

  it('of an assigned build that is withdrawn between two attempts are not reported any more', () => {
    const bed = begin()
    const request = { ...requestOf('none'), pod: undefined, nixBuild: 'web', attempt: { number: 1, max: 2 } }
    bed.reporter.refused(request, new RetryableError('QueueFull', 'full'))
    expect(bed.write()).toMatchObject([{ state: 'Queued', nixBuild: 'web', attempts: 1 }])
    bed.builds.withdraw(request)
    expect(bed.write()).toEqual([])
  })

  it('wait for no other attempt if the pull of a pod fails after the assigned build has ended', async () => {
    const bed = begin()
    const request = { ...requestOf('none'), pod: undefined, nixBuild: 'web', attempt: { number: 1, max: 2 } }
    const assigned = bed.reporter.waiting(request)
    const pod = bed.reporter.waiting(requestOf('web'))
    const run = bed.reporter.started(recipe())
    assigned.failed(new RetryableError('Cancelled', 'not assigned any more'))
    bed.builds.withdraw(request)
    const failure = new RetryableError('NixDaemonAway', 'away')
    run.failed(failure)
    await settled()
    pod.failed(failure)
    expect(bed.shown()).toMatchObject([{ state: 'Failed', message: 'away', retryable: true }])
    await makeImage(bed)
    bed.builds.retain(() => false)
    bed.reporter.refused(requestOf('web'), failure)
    expect(bed.shown()).toMatchObject([{ state: 'Failed', message: 'away' }])
  })

  it('wait for another attempt although the pull of a pod fails meanwhile', () => {
    const bed = begin()
    const request = { ...requestOf('none'), pod: undefined, nixBuild: 'web', attempt: { number: 1, max: 2 } }
    bed.reporter.refused(request, new RetryableError('QueueFull', 'full'))
    bed.reporter.refused(requestOf('web'), new RetryableError('QueueFull', 'full'))
    expect(bed.shown()).toMatchObject([{ state: 'Queued', attempts: 1 }])
  })
})

async function makeImage({ reporter }: ReturnType<typeof begin>): Promise<void> {
  const report = reporter.waiting(requestOf('web'))
  reporter.started(recipe()).done(done)
  report.done()
  await settled()
}
