import { expect, test } from 'vitest'
import { createStoreGuard } from '../../../../shim/nix/collect/store-guard.ts'

const { signal } = new AbortController()

test('a collection waits for builds that run, and builds wait for the collection', async () => {
  const guard = createStoreGuard()
  const order: string[] = []
  const first = Promise.withResolvers<void>()
  const build = guard.use(signal, () => first.promise)
  const collection = guard.collect(signal, async () => void order.push('collection'))
  first.resolve()
  await build
  order.push('first build')
  await collection
  await guard.use(signal, async () => void order.push('second build'))
  expect(order).toEqual(['first build', 'collection', 'second build'])
})

test('neither waits longer than its limit', async () => {
  const guard = createStoreGuard({ buildWaitMs: 1, collectionWaitMs: 1 })
  const never = Promise.withResolvers<void>()
  const build = guard.use(signal, () => never.promise)
  const collection = guard.collect(signal, () => never.promise)
  await guard.use(signal, async () => {})
  never.resolve()
  await Promise.all([build, collection])
})

test('a build that nobody waits for does not wait either', async () => {
  const guard = createStoreGuard()
  const never = Promise.withResolvers<void>()
  const collection = guard.collect(signal, () => never.promise)
  await guard.use(AbortSignal.abort(), async () => {})
  never.resolve()
  await collection
})
