import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createSlots } from '../../shim/build/slots.ts'

function prepare(count: number) {
  const slots = createSlots(count)
  const running: string[] = []
  const places = new Map<string, number[]>()
  const ends = new Map<string, (error?: Error) => void>()
  const enter = (name: string, owner = name) => {
    const controller = new AbortController()
    const ahead: number[] = []
    places.set(name, ahead)
    const done = slots.run({ owner, signal: controller.signal, onAhead: place => ahead.push(place) }, async () => {
      running.push(name)
      try {
        await new Promise<void>((resolve, reject) => ends.set(name, error => (error ? reject(error) : resolve())))
        return name
      } finally {
        running.splice(running.indexOf(name), 1)
      }
    })
    done.catch(() => {})
    return { done, abort: () => controller.abort() }
  }
  return { enter, running, places, end: (name: string, error?: Error) => ends.get(name)?.(error) }
}

test('no more tasks run at once than there are slots; who waits is told of its place', async () => {
  const { enter, running, places, end } = prepare(2)
  const tasks = ['a', 'b', 'c', 'd'].map(name => enter(name))
  await turn()
  expect(running).toEqual(['a', 'b'])
  end('a')
  await turn()
  expect(running).toEqual(['b', 'c'])
  expect(Object.fromEntries(places)).toEqual({ a: [], b: [], c: [0], d: [1, 0] })
  for (const name of ['b', 'c']) end(name)
  await turn()
  end('d')
  expect(await Promise.all(tasks.map(({ done }) => done))).toEqual(['a', 'b', 'c', 'd'])
})

test('a task that fails frees its slot', async () => {
  const { enter, running, end } = prepare(1)
  const first = enter('a')
  enter('b')
  await turn()
  end('a', new Error('broken'))
  await expect(first.done).rejects.toThrow('broken')
  await turn()
  expect(running).toEqual(['b'])
})

test('who gives up waiting is gone at once, and the others move up', async () => {
  const { enter, running, places, end } = prepare(1)
  enter('a')
  const quitter = enter('b')
  enter('c')
  quitter.abort()
  await expect(quitter.done).rejects.toMatchObject({ code: 'Cancelled', retryable: true })
  expect(places.get('c')).toEqual([1, 0])
  end('a')
  await turn()
  expect(running).toEqual(['c'])
})

test('who has given up before it came takes no slot', async () => {
  const slots = createSlots(1)
  const wait = { owner: 'a', signal: AbortSignal.abort(), onAhead: () => {} }
  await expect(slots.run(wait, async () => 'never')).rejects.toMatchObject({ code: 'Cancelled' })
  await expect(slots.run({ ...wait, signal: new AbortController().signal }, async () => 'free')).resolves.toBe('free')
})
