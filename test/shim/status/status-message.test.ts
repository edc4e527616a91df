import { describe, expect, it } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import type { PullProgress } from '../../../shim/pull/progress.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import type { DiskUse } from '../../../shim/status/disk-use.ts'
import { statusMessage } from '../../../shim/status/status-message.ts'
import { SHIM_STATUS, type StatusReport, WATCH_STATUS } from '../../../shim/wire/status.ts'

const { responseSerialize } = SHIM_STATUS.Watch
const SHIM = { version: '1', startedAt: 1000, containerd: '/c.sock', rules: 1, maxBuilds: 2, logs: '/logs' }
const NOTHING = { files: 0, bytes: 0 }
const DISK_USE: DiskUse = {
  images: [],
  problem: undefined,
  store: { paths: 0, narBytes: 0, problem: undefined },
  digests: NOTHING,
  plans: NOTHING,
  logs: NOTHING,
}

function recipe(image: string): Recipe {
  return { image, flake: parseFlakeUrl('github:team/app'), packageName: 'images.web', system: 'x86_64-linux' }
}

function setUp() {
  const pullLog = createPullLog()
  return {
    pullLog,
    begin: (image: string, progress?: PullProgress) => {
      const run = pullLog.started(recipe(image))
      if (progress) run.progress(progress)
      return run
    },
    /** Encoded and decoded again. */
    report: (diskUse: Partial<DiskUse> = {}): StatusReport =>
      WATCH_STATUS.responseDeserialize(responseSerialize(statusMessage(SHIM, pullLog, { ...DISK_USE, ...diskUse }))),
  }
}

describe('a report', () => {
  it('has runs in the order of their requests, and the queue in its own order', () => {
    const { begin, report } = setUp()
    begin('third', { phase: 'queued', ahead: 2 })
    begin('runs', { phase: 'fetching', doneBytes: 1, expectedBytes: 2 })
    begin('first', { phase: 'queued', ahead: 0 })
    begin('starts')
    begin('second', { phase: 'queued', ahead: 1 })
    const { runs, queue } = report()
    expect(runs.map(({ image, progress }) => [image, progress.phase, progress.done])).toEqual([
      ['runs', 'fetching', 1],
      ['starts', 'starting', 0],
    ])
    expect(queue.map(({ image }) => image)).toEqual(['first', 'second', 'third'])
  })

  it('names fifty waiting requests, and counts all', () => {
    const { pullLog, report } = setUp()
    for (let number = 0; number < 60; number += 1)
      pullLog.waiting({ recipe: recipe('app:1'), namespace: `team-${number}`, nixBuild: 'app' })
    const [run] = report().runs
    expect(run?.waiting).toBe(60)
    expect(run?.waiters).toHaveLength(50)
    expect(run?.waiters[49]).toEqual({ namespace: 'team-49', pod: undefined, nixBuild: 'app' })
  })

  it('names a recipe by its flake and package, or by its store path', () => {
    const { pullLog, begin, report } = setUp()
    begin('app:1')
    pullLog.started({ image: 'nix:0/nix/store/a:latest', storePath: '/nix/store/a' })
    expect(report().runs.map(({ recipe }) => recipe)).toEqual(['github:team/app#images.web', '/nix/store/a'])
  })

  it('is the same for the same state', () => {
    const { begin, pullLog } = setUp()
    begin('app:1').done({ imageId: 'sha256:1', present: false })
    begin('app:1', { phase: 'evaluating', runId: 'run-1' })
    const encode = () => responseSerialize(statusMessage(SHIM, pullLog, DISK_USE))
    expect(encode()).toEqual(encode())
  })

  it('leaves out unknown values', () => {
    const { report } = setUp()
    const image = { image: undefined, imageId: undefined, storePath: undefined, size: undefined, updatedAt: 5000 }
    const { images, shim } = report({ images: [image], problem: 'away' })
    expect(images).toEqual([{ ...image, updatedAt: new Date(5000) }])
    expect(shim).toEqual({ ...SHIM, startedAt: new Date(1000), containerdProblem: 'away' })
  })
})
