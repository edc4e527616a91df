import type { StorePathInfo } from '../contract.ts'

/**
 * Splits a closure into at most `maxLayers` layers, bottom first, whatever the order it comes in. The paths that most
 * others need, directly or not, get layers of their own: other images need them as well, and share these. What is
 * needed lies below what needs it. Among equals the larger comes first, as more is saved by sharing it, then the path
 * decides. The rest share the last layer, in the order of their paths: the same set of paths is the same layer.
 */
export function splitByPopularity(closure: readonly StorePathInfo[], maxLayers: number): string[][] {
  const counts = countDependents(closure)
  const countOf = ({ path }: StorePathInfo) => counts.get(path) ?? 0
  const unique = [...new Map(closure.map(info => [info.path, info])).values()]
  const ordered = unique.sort(
    (one, other) => countOf(other) - countOf(one) || other.narSize - one.narSize || compareTexts(one.path, other.path),
  )
  const paths = ordered.map(({ path }) => path)
  if (paths.length <= maxLayers) return paths.map(path => [path])
  const single = paths.slice(0, maxLayers - 1).map(path => [path])
  return [...single, paths.slice(maxLayers - 1).sort(compareTexts)]
}

/** How many other paths of the closure need a path, directly or not. A path counts more than all that need it. */
function countDependents(closure: readonly StorePathInfo[]): ReadonlyMap<string, number> {
  const users = invert(closure)
  return new Map([...users.keys()].map(path => [path, reach(path, users) - 1]))
}

/** Of each path those that refer to it. References out of the closure are left out. */
function invert(closure: readonly StorePathInfo[]): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>(closure.map(({ path }) => [path, []]))
  for (const { path, references } of closure) for (const reference of references) users.get(reference)?.push(path)
  return users
}

/** How many paths are reached from one, itself included. */
function reach(start: string, users: ReadonlyMap<string, readonly string[]>): number {
  const seen = new Set([start])
  // A set that grows while it is walked is walked to its new end.
  for (const path of seen) for (const user of users.get(path) ?? []) seen.add(user)
  return seen.size
}

/** By code units, the same everywhere. */
function compareTexts(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
