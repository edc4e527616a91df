import { expect, it } from 'vitest'
import { groupOfWork, workKey } from '../../../controller/state/work-keys.ts'
import { createWorkQueue } from '../../../kube/work-queue.ts'

it('the builds and released pods of a node do not wait until thousands of other NixNodes are written', async () => {
  const stop = new AbortController()
  const writing = Promise.withResolvers<void>()
  const done: string[] = []
  const queue = createWorkQueue({
    work: async key => (key === workKey('nodebuilds', 'node-1') ? void done.push(key) : writing.promise),
    workers: 16,
    groupOf: groupOfWork,
    onError: () => {},
    signal: stop.signal,
  })
  for (let node = 0; node < 5_000; node += 1) queue.add(workKey('nixnode', `node-${node}`))
  queue.add(workKey('nodebuilds', 'node-1'))
  const ended = queue.run()
  await expect.poll(() => done).toEqual(['nodebuilds:node-1'])
  writing.resolve()
  stop.abort()
  await ended
})
