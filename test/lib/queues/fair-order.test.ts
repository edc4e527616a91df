import { describe, expect, it } from 'vitest'
import { createFairOrder, ownedBy } from '../../../lib/queues/fair-order.ts'

interface Item {
  readonly name: string
  readonly key: string | undefined
  readonly owners: ReturnType<typeof ownedBy>
}

/** `a1` is owned by a, `ab1` by a and b; `a1:x` has the key x. */
function itemOf(text: string): Item {
  const [name = '', key] = text.split(':')
  return { name, key, owners: { ...ownedBy(''), current: () => [...name.replace(/\d+$/, '')] } }
}

interface Case {
  readonly when: string
  /** Started tasks, in this order. */
  readonly running?: readonly string[]
  /** Those of them that have ended. */
  readonly ended?: readonly string[]
  readonly waiting: readonly string[]
  readonly most?: number
  readonly next: string | undefined
}

describe('the next place', () => {
  it.each<Case>([
    { when: 'stays free if no task waits', waiting: [], next: undefined },
    { when: 'goes to the first task of a single owner', waiting: ['a1', 'a2'], next: 'a1' },
    { when: 'goes to an owner without a place', running: ['a1'], waiting: ['a2', 'a3', 'b1'], next: 'b1' },
    {
      when: 'goes to the owner with the fewest places',
      running: ['a1', 'b1', 'a2'],
      waiting: ['a3', 'b2'],
      next: 'b2',
    },
    {
      when: 'goes to a new owner before those that were served',
      running: ['a1'],
      ended: ['a1'],
      waiting: ['a2', 'b1'],
      next: 'b1',
    },
    {
      when: 'goes to the owner that was served longest ago',
      running: ['b1', 'a1'],
      ended: ['a1', 'b1'],
      waiting: ['a2', 'b2'],
      next: 'b2',
    },
    {
      when: 'stays free if the owner has reached its limit',
      running: ['a1'],
      waiting: ['a2'],
      most: 1,
      next: undefined,
    },
    { when: 'skips an owner that has reached its limit', running: ['a1'], waiting: ['a2', 'b1'], most: 1, next: 'b1' },
    { when: 'skips a task whose key is running', running: ['b1:x'], waiting: ['a1:x', 'a2'], next: 'a2' },
    {
      when: 'goes to shared work in the turn of any of its owners',
      running: ['a1'],
      waiting: ['a2', 'ab1'],
      next: 'ab1',
    },
  ])('$when', ({ running = [], ended = [], waiting, most = 3, next }) => {
    const turns = createFairOrder<Item>(most)
    const begun = new Map(
      running.map(text => {
        const turn = turns.next([itemOf(text)])
        if (turn) turns.begin(turn)
        return [text, turn] as const
      }),
    )
    for (const text of ended) {
      const turn = begun.get(text)
      if (turn) turns.end(turn)
    }
    expect(turns.next(waiting.map(itemOf))?.waiter.name).toBe(next)
  })
})

it.each([
  { came: [], order: [] },
  { came: ['a1', 'a2', 'a3'], order: ['a1', 'a2', 'a3'] },
  { came: ['a1', 'a2', 'a3', 'b1'], order: ['a1', 'b1', 'a2', 'a3'] },
  { came: ['a1', 'a2', 'b1', 'b2', 'c1'], order: ['a1', 'b1', 'c1', 'a2', 'b2'] },
  { came: ['a1', 'a2', 'ab3'], order: ['a1', 'ab3', 'a2'] },
])('$came will probably start in the order $order', ({ came, order }) => {
  expect(
    createFairOrder<Item>(3)
      .inOrder(came.map(itemOf))
      .map(({ name }) => name),
  ).toEqual(order)
})
