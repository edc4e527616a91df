import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createFairGate, shareOf } from '../../../lib/queues/fair-gate.ts'
import { ownedBy } from '../../../lib/queues/fair-order.ts'

function prepare(count: number, perOwner = count) {
  const places = createFairGate({ count, perOwner, what: 'build' })
  const running: string[] = []
  const aheads = new Map<string, number[]>()
  const ends = new Map<string, (error?: Error) => void>()
  const enter = (name: string, owners = ownedBy(name), key = name) => {
    const controller = new AbortController()
    const ahead: number[] = []
    aheads.set(name, ahead)
    const done = places.run(
      { owners, key, signal: controller.signal, onAhead: place => ahead.push(place) },
      async () => {
        running.push(name)
        try {
          await new Promise<void>((resolve, reject) => ends.set(key, error => (error ? reject(error) : resolve())))
          return name
        } finally {
          running.splice(running.indexOf(name), 1)
        }
      },
    )
    done.catch(() => {})
    return { done, abort: () => controller.abort() }
  }
  return { enter, running, aheads, end: (name: string, error?: Error) => ends.get(name)?.(error) }
}

test('tasks run in a limited number of places, and waiting ones learn their position', async () => {
  const { enter, running, aheads, end } = prepare(2)
  const tasks = ['a', 'b', 'c', 'd'].map(name => enter(name))
  await turn()
  expect(running).toEqual(['a', 'b'])
  end('a')
  await turn()
  expect(running).toEqual(['b', 'c'])
  expect(Object.fromEntries(aheads)).toEqual({ a: [], b: [], c: [0], d: [1, 0] })
  for (const name of ['b', 'c']) end(name)
  await turn()
  end('d')
  expect(await Promise.all(tasks.map(({ done }) => done))).toEqual(['a', 'b', 'c', 'd'])
})

test('a task that fails frees its place', async () => {
  const { enter, running, end } = prepare(1)
  const first = enter('a')
  enter('b')
  await turn()
  end('a', new Error('broken'))
  await expect(first.done).rejects.toThrow('broken')
  await turn()
  expect(running).toEqual(['b'])
})

test('a task that stops waiting leaves immediately, and the others move up', async () => {
  const { enter, running, aheads, end } = prepare(1)
  enter('a')
  const quitter = enter('b')
  enter('c')
  quitter.abort()
  await expect(quitter.done).rejects.toMatchObject({ code: 'Cancelled', retryable: true })
  expect(aheads.get('c')).toEqual([1, 0])
  end('a')
  await turn()
  expect(running).toEqual(['c'])
})

test('a task with an aborted signal takes no place', async () => {
  const places = createFairGate({ count: 1, what: 'build' })
  const wait = { owners: ownedBy('a'), signal: AbortSignal.abort() }
  await expect(places.run(wait, async () => 'never')).rejects.toMatchObject({ code: 'Cancelled' })
  await expect(places.run({ ...wait, signal: new AbortController().signal }, async () => 'free')).resolves.toBe('free')
})

test('a limit per owner leaves a place for the next owner', async () => {
  const { enter, running, end } = prepare(3, shareOf(3))
  for (const name of ['a1', 'a2', 'a3']) enter(name, ownedBy('a'))
  await turn()
  expect(running).toEqual(['a1', 'a2'])
  enter('b1', ownedBy('b'))
  await turn()
  expect(running).toEqual(['a1', 'a2', 'b1'])
  end('a1')
  await turn()
  expect(running).toEqual(['a2', 'b1', 'a3'])
})

test('a single place is shared in turn', async () => {
  expect(shareOf(1)).toBe(1)
  const { enter, running, end } = prepare(1, shareOf(1))
  for (const name of ['a1', 'a2', 'a3']) enter(name, ownedBy('a'))
  enter('b1', ownedBy('b'))
  await turn()
  end('a1')
  await turn()
  expect(running).toEqual(['b1'])
})

test('tasks with the same key run one after the other, and others overtake them', async () => {
  const { enter, running, end } = prepare(2)
  enter('first', ownedBy('a'), 'image')
  await turn()
  enter('second', ownedBy('b'), 'image')
  enter('other', ownedBy('c'))
  await turn()
  expect(running).toEqual(['first', 'other'])
  end('image')
  await turn()
  expect(running).toEqual(['other', 'second'])
})

test("a waiting task that another owner joins can use that owner's turn", async () => {
  const { enter, running } = prepare(2, 1)
  const names = ['a']
  const listeners = new Set<() => void>()
  const shared = {
    current: () => names,
    onChange(listener: () => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  enter('a1', ownedBy('a'))
  enter('shared', shared)
  await turn()
  expect(running).toEqual(['a1'])
  names.push('b')
  for (const listener of listeners) listener()
  await turn()
  expect(running).toEqual(['a1', 'shared'])
  expect(listeners.size).toBe(0)
})
