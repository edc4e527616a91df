/** The first item of the owner who has the most of them: it has to go where nobody is to push out what is another's. */
export function firstOfMost<Item>(items: readonly Item[], ownerOf: (item: Item) => string): Item | undefined {
  const groups = [...Map.groupBy(items, ownerOf).values()]
  const most = Math.max(...groups.map(({ length }) => length))
  return groups.find(({ length }) => length === most)?.[0]
}
