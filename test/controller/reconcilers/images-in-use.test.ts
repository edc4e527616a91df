import { expect, it } from 'vitest'
import { createImagesInUse } from '../../../controller/reconcilers/images-in-use.ts'
import type { Kind } from '../../../kube/client/contract.ts'

function start(images: readonly string[]) {
  let now = 0
  let lists = 0
  const kube = {
    async list<T>(kind: Kind<T>, _selection: object, onItem: (item: T) => void): Promise<string> {
      lists += 1
      const metadata = { name: 'a', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
      const containers = images.map(image => ({ name: image, image }))
      onItem(kind.parse({ metadata, spec: { containers } }))
      return '1'
    },
  }
  const inUse = createImagesInUse({ kube, usedCacheMs: 1_000, unusedCacheMs: 100, now: () => now })
  return {
    /** The given images that are in use, and whether the pods were listed. */
    ask: async (...asked: string[]) => {
      const before = lists
      const answer = inUse('team', asked)
      const listed = lists > before
      const found = await answer
      return { used: asked.filter(image => found.has(image)), listed }
    },
    pass: (ms: number) => {
      now += ms
    },
  }
}

it('pods are not listed again for an image that was in use a moment ago', async () => {
  const { ask, pass } = start(['app', 'db'])
  const app = 'docker.io/library/app:latest'
  expect(await ask(app)).toEqual({ used: [app], listed: true })
  pass(999)
  expect(await ask(app)).toEqual({ used: [app], listed: false })
  expect(await ask('docker.io/library/db:latest')).toMatchObject({ listed: false })
  pass(1)
  expect(await ask(app)).toEqual({ used: [app], listed: true })
})

it('pods are listed again soon for an image that was not in use', async () => {
  const { ask, pass } = start(['app'])
  expect(await ask('docker.io/library/other:1')).toEqual({ used: [], listed: true })
  pass(99)
  expect(await ask('docker.io/library/another:1')).toEqual({ used: [], listed: false })
  pass(1)
  expect(await ask('docker.io/library/app:latest', 'docker.io/library/other:1')).toMatchObject({ listed: true })
})

it('concurrent questions share one list of pods', async () => {
  const { ask } = start(['app'])
  const answers = await Promise.all([ask('docker.io/library/one:1'), ask('docker.io/library/two:1')])
  expect(answers.filter(({ listed }) => listed)).toHaveLength(1)
})
