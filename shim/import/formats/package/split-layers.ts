import type { StorePathInfo } from '../../../../recipes/store-path.ts'

/**
 * Splits the closure of a store path into at most `maxLayers` layers, bottom first, independent of the order it comes in. Images
 * share layers of the same paths, so paths that most others need are lowest; among equals the larger is lower, as sharing it
 * saves more. If there are more paths than layers, a path shares a layer with what only it needs, so that other images with that
 * path have the same layer; as far as there is room, the most needed paths get their own layers.
 */
export function splitLayers(closure: readonly StorePathInfo[], root: string, maxLayers: number): string[][] {
  const needed = referencesIn(closure)
  const users = usersFirst(needed)
  const counts = countDependents(needed, users)
  const ordered = orderByNeed(closure, counts).filter(path => path !== root)
  if (ordered.length <= maxLayers) return ordered.map(path => [path])
  const heads = findHeads(needed, users, root)
  const grouped = Map.groupBy(ordered, path => heads.get(path) ?? path)
  const groups = ordered.flatMap(path => {
    const group = grouped.get(path)
    return group ? [group] : []
  })
  if (groups.length > maxLayers) return mergeSmallest(groups, closure, maxLayers)
  const classes = [...Map.groupBy(ordered, path => counts.get(path) ?? 0).values()]
  return takeOut(groups, classes, maxLayers)
}

type References = ReadonlyMap<string, readonly string[]>

/** References within the closure, without those of paths to themselves. */
function referencesIn(closure: readonly StorePathInfo[]): References {
  const paths = new Set(closure.map(({ path }) => path))
  return new Map(
    closure.map(({ path, references }) => [
      path,
      [...new Set(references)].filter(other => other !== path && paths.has(other)),
    ]),
  )
}

function orderByNeed(closure: readonly StorePathInfo[], counts: ReadonlyMap<string, number>): string[] {
  const unique = [...new Map(closure.map(info => [info.path, info])).values()]
  const countOf = ({ path }: StorePathInfo) => counts.get(path) ?? 0
  const ordered = unique.sort(
    (one, other) => countOf(other) - countOf(one) || other.narSize - one.narSize || compareTexts(one.path, other.path),
  )
  return ordered.map(({ path }) => path)
}

/**
 * Finds the head of each path: itself if the root refers to it or several heads need it, else the head of what needs it. In a
 * graph without circles this is its dominator next to the root.
 */
function findHeads(needed: References, users: readonly string[], root: string): ReadonlyMap<string, string> {
  const heads = new Map((needed.get(root) ?? []).map(path => [path, path]))
  for (const user of users) {
    if (user === root) continue
    const head = heads.get(user) ?? user
    heads.set(user, head)
    for (const path of needed.get(user) ?? []) {
      const known = heads.get(path)
      if (known === undefined) heads.set(path, head)
      else if (known !== head) heads.set(path, path)
    }
  }
  return heads
}

/**
 * Paths with the same number of dependents are taken out together or not at all, so that the choice does not depend on what else is
 * in the image.
 */
function takeOut(
  groups: readonly (readonly string[])[],
  classes: readonly (readonly string[])[],
  maxLayers: number,
): string[][] {
  const grouped = new Set(groups.flatMap(group => (group.length > 1 ? group : [])))
  const single = new Set<string>()
  let room = maxLayers - groups.length
  for (const paths of classes) {
    const taken = paths.filter(path => grouped.has(path))
    room -= taken.length
    if (room < 0) break
    for (const path of taken) single.add(path)
  }
  const alone = groups.filter(({ length }) => length === 1)
  const rest = groups.filter(({ length }) => length > 1).map(group => group.filter(path => !single.has(path)))
  const left = rest.filter(({ length }) => length > 0).map(group => group.sort(compareTexts))
  return [...alone.map(group => [...group]), ...[...single].map(path => [path]), ...left]
}

/**
 * The largest groups get their own layers, so that the rest, one layer that changes with anything in it, is small. The number of
 * dependents does not matter here: sets with nine of ten packages in common share nearly all groups.
 */
function mergeSmallest(
  groups: readonly (readonly string[])[],
  closure: readonly StorePathInfo[],
  maxLayers: number,
): string[][] {
  const sizes = new Map(closure.map(({ path, narSize }) => [path, narSize]))
  const sizeOf = (group: readonly string[]) => group.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0)
  const ranked = groups.map(group => ({ group, size: sizeOf(group) })).sort((one, other) => other.size - one.size)
  const rest = new Set(ranked.slice(maxLayers - 1).map(({ group }) => group))
  const own = groups.filter(group => !rest.has(group))
  return [...own, [...rest].flat()].map(group => group.toSorted(compareTexts))
}

/** Number of other paths that need each path, directly or not. It is greater than that of each of these paths. */
function countDependents(needed: References, ordered: readonly string[]): ReadonlyMap<string, number> {
  const places = new Map(ordered.map((path, place) => [path, place]))
  const edges = ordered.map(path => Uint32Array.from(needed.get(path) ?? [], other => places.get(other) ?? 0))
  const counts = countReaching(edges)
  return new Map(ordered.map((path, place) => [path, counts[place] ?? 0]))
}

/** Orders each path after everything that needs it. Nix has no circles; paths in or below one are left out. */
function usersFirst(needed: References): string[] {
  const users = new Map([...needed.keys()].map(path => [path, 0]))
  for (const paths of needed.values()) for (const path of paths) users.set(path, (users.get(path) ?? 0) + 1)
  const ordered = [...users].flatMap(([path, count]) => (count === 0 ? [path] : []))
  // The list grows while it is iterated.
  for (const path of ordered)
    for (const other of needed.get(path) ?? []) {
      const left = (users.get(other) ?? 0) - 1
      users.set(other, left)
      if (left === 0) ordered.push(other)
    }
  return ordered
}

/** Bits of a word, and words for each path: so many users are followed in one pass. */
const BITS = 32
const WORDS = 32

/** Number of other places that reach each place. Edges only lead to later places. */
function countReaching(edges: readonly Uint32Array[]): Uint32Array {
  const counts = new Uint32Array(edges.length)
  for (let first = 0; first < edges.length; first += BITS * WORDS) {
    const users = edges.map(() => new Uint32Array(WORDS))
    for (const [place, targets] of edges.entries()) {
      const own = users[place] ?? NOBODY
      counts[place] = own.reduce((sum, word) => sum + countBits(word), counts[place] ?? 0)
      if (place >= first && place < first + BITS * WORDS) addBit(own, place - first)
      for (const target of targets) addAll(users[target] ?? NOBODY, own)
    }
  }
  return counts
}

const NOBODY = new Uint32Array(0)

function addBit(set: Uint32Array, bit: number): void {
  const word = Math.floor(bit / BITS)
  set[word] = (set[word] ?? 0) | (1 << (bit % BITS))
}

function addAll(set: Uint32Array, other: Uint32Array): void {
  for (let word = 0; word < set.length; word += 1) set[word] = (set[word] ?? 0) | (other[word] ?? 0)
}

function countBits(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** By code units, the same everywhere. */
function compareTexts(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
