import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import type { Kube } from '../../../kube/client/contract.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { runAssignedBuilds } from '../../../shim/cluster/nixnode/assigned-builds.ts'
import { createNixBuildStore } from '../../../shim/cluster/nixbuild-store.ts'
import { nixBuild } from '../../shim/cluster/builds/nixbuilds.ts'

it('a node starts thousands of assigned NixBuilds of one namespace a few at a time, and they do not block other namespaces', async () => {
  const flood = Array.from({ length: 1000 }, (_, index) => ({ namespace: 'flood', name: `flood-${index}` }))
  const begun: { readonly namespace: string; end(): void }[] = []
  const all = [...flood, { namespace: 'team', name: 'one' }]
  const mirror = start(all, ({ namespace }) => {
    const { promise, reject } = Promise.withResolvers<never>()
    begun.push({ namespace, end: () => reject(new RetryableError('Cancelled', 'over')) })
    return promise
  })
  await mirror.synced()
  const [of, count] = [(name: string) => begun.filter(({ namespace }) => namespace === name), 20]
  await expect.poll(() => of('team')).toHaveLength(1)
  expect(of('flood')).toHaveLength(count)
  for (const { end } of of('flood').slice(0, 5)) end()
  await expect.poll(() => of('flood').length).toBe(count + 5)
})

interface Name {
  readonly namespace: string
  readonly name: string
}

function start(given: readonly Name[], pullImage: (request: { readonly namespace: string }) => Promise<never>) {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const no = () => Promise.reject(new Error('not asked for'))
  const kube: Kube = {
    ...{ get: no, create: no, patch: no, replace: no, delete: no, close: no },
    async list(kind, _selection, onItem) {
      const some = nixBuild()
      for (const name of given) onItem(kind.parse({ ...some, metadata: { ...some.metadata, ...name } }))
      return '1'
    },
    async *watch(_kind, { signal }) {
      await new Promise(resolve => signal.addEventListener('abort', resolve))
    },
  }
  const store = createNixBuildStore({ kube: async () => kube, node: 'node-1' })
  const { signal } = stop
  return runAssignedBuilds({
    kube,
    store,
    node: 'node-1',
    pullImage,
    written: async () => {},
    signal,
    logger: pino({ level: 'silent' }),
  })
}
