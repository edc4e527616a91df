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
  const needed = new Map(closure.map(({ path }) => [path, [] as string[]]))
  for (const { path, references } of closure)
    needed.set(
      path,
      [...new Set(references)].filter(other => other !== path && needed.has(other)),
    )
  const ordered = usersFirst(needed)
  const places = new Map(ordered.map((path, place) => [path, place]))
  const edges = ordered.map(path => Uint32Array.from(needed.get(path) ?? [], other => places.get(other) ?? 0))
  const counts = countReaching(edges)
  return new Map(ordered.map((path, place) => [path, counts[place] ?? 0]))
}

/** Each path after all that need it. Nix knows no circles; what is in one, or below, is left out. */
function usersFirst(needed: ReadonlyMap<string, readonly string[]>): string[] {
  const users = new Map([...needed.keys()].map(path => [path, 0]))
  for (const paths of needed.values()) for (const path of paths) users.set(path, (users.get(path) ?? 0) + 1)
  const ordered = [...users].flatMap(([path, count]) => (count === 0 ? [path] : []))
  // A list that grows while it is walked is walked to its new end.
  for (const path of ordered)
    for (const other of needed.get(path) ?? []) {
      const left = (users.get(other) ?? 0) - 1
      users.set(other, left)
      if (left === 0) ordered.push(other)
    }
  return ordered
}

/** Bits of a word, and words of what is kept of a path at a time: so many users are followed at once. */
const BITS = 32
const WORDS = 32

/** How many others reach each place by edges, which lead to later places alone. */
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
