import { describe, expect, it } from 'vitest'
import { createFairOrder, ownedBy } from '../../../lib/queues/fair-order.ts'

interface Item {
  readonly name: string
  readonly key: string | undefined
  readonly owners: ReturnType<typeof ownedBy>
}

/** `a1` is wanted by a, `ab1` by a and b; `a1:x` has the key x. */
function itemOf(text: string): Item {
  const [name = '', key] = text.split(':')
  return { name, key, owners: { ...ownedBy(''), current: () => [...name.replace(/\d+$/, '')] } }
}

interface Case {
  readonly when: string
  /** Have begun, in this order. */
  readonly running?: readonly string[]
  /** Of these, have ended again. */
  readonly ended?: readonly string[]
  readonly waiting: readonly string[]
  readonly most?: number
  readonly next: string | undefined
}

describe('the next place goes', () => {
  it.each<Case>([
    { when: 'to nobody when nobody waits', waiting: [], next: undefined },
    { when: 'to the first one of a lone owner', waiting: ['a1', 'a2'], next: 'a1' },
    { when: 'to an owner without a place', running: ['a1'], waiting: ['a2', 'a3', 'b1'], next: 'b1' },
    { when: 'to the owner with the fewest', running: ['a1', 'b1', 'a2'], waiting: ['a3', 'b2'], next: 'b2' },
    {
      when: 'to a newcomer before those who were served',
      running: ['a1'],
      ended: ['a1'],
      waiting: ['a2', 'b1'],
      next: 'b1',
    },
    {
      when: 'to the one who was served longest ago',
      running: ['b1', 'a1'],
      ended: ['a1', 'b1'],
      waiting: ['a2', 'b2'],
      next: 'b2',
    },
    {
      when: 'to nobody when it would be more than an owner may have',
      running: ['a1'],
      waiting: ['a2'],
      most: 1,
      next: undefined,
    },
    { when: 'past an owner who has all that it may have', running: ['a1'], waiting: ['a2', 'b1'], most: 1, next: 'b1' },
    { when: 'past what has the key of something that runs', running: ['b1:x'], waiting: ['a1:x', 'a2'], next: 'a2' },
    { when: 'to shared work by the turn of any who wants it', running: ['a1'], waiting: ['a2', 'ab1'], next: 'ab1' },
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
])('$came are likely to begin as $order', ({ came, order }) => {
  expect(
    createFairOrder<Item>(3)
      .inOrder(came.map(itemOf))
      .map(({ name }) => name),
  ).toEqual(order)
})
