import { expect, test } from 'vitest'
import { createBackground } from '../../../lib/async/background.ts'

test('waits for what runs when it is closed, and starts nothing more', async () => {
  const background = createBackground(() => {})
  const first = Promise.withResolvers<void>()
  const order: string[] = []
  const ran = background.run(() => first.promise).then(() => order.push('ended'))
  const closed = background.close(60_000).then(() => order.push('closed'))
  await background.run(async () => void order.push('too late'))
  first.resolve()
  await Promise.all([ran, closed])
  expect(order).toEqual(['ended', 'closed'])
})

test('does not wait longer than its limit', async () => {
  const background = createBackground(() => {})
  const never = Promise.withResolvers<void>()
  const ran = background.run(() => never.promise)
  await background.close(1)
  never.resolve()
  await ran
})

test('tells errors, and does not reject', async () => {
  const errors: unknown[] = []
  const background = createBackground(error => void errors.push(error))
  await background.run(() => Promise.reject(new Error('away')))
  await background.run(() => {
    throw new Error('immediately')
  })
  await background.close(60_000)
  expect(errors).toEqual([new Error('away'), new Error('immediately')])
})
