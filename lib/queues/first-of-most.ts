/** The first item of the owner that has the most items: the fair one to drop when a queue is full. */
export function firstOfMost<Item>(items: readonly Item[], ownerOf: (item: Item) => string): Item | undefined {
  const groups = [...Map.groupBy(items, ownerOf).values()]
  const most = Math.max(...groups.map(({ length }) => length))
  return groups.find(({ length }) => length === most)?.[0]
}
