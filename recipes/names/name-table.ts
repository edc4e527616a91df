import type { SplitReference } from '../reference.ts'
import type { NamePattern } from './name-pattern.ts'

/** The first entry whose pattern matches the name. */
export type FindName<Entry> = (name: Named) => Entry | undefined

export type Named = Pick<SplitReference, 'domain' | 'path'> & { readonly tag: string }

/**
 * A table for any number of patterns: the cost of a look-up depends only on the number of pattern shapes of the host.
 */
export function createNameTable<Entry extends { readonly pattern: NamePattern }>(
  entries: readonly Entry[],
): FindName<Entry> {
  const hosts = new Map<string, Map<string, Shape<Entry>>>()
  for (const [index, entry] of entries.entries()) {
    const { host } = entry.pattern
    const shapes = hosts.get(host) ?? new Map<string, Shape<Entry>>()
    hosts.set(host, shapes)
    const shape = shapeOf(entry.pattern)
    const id = JSON.stringify(shape)
    const known = shapes.get(id) ?? { ...shape, places: new Map<string, Place<Entry>>() }
    shapes.set(id, known)
    const key = keyOf(shape, entry.pattern.segments.map(literalOf), entry.pattern.tag)
    if (!known.places.has(key)) known.places.set(key, { index, entry })
  }
  return ({ domain, path, tag }) => {
    const shapes = hosts.get(domain)
    if (shapes === undefined) return undefined
    const segments = path.split('/')
    let first: Place<Entry> | undefined
    for (const shape of shapes.values()) {
      if (!fits(shape, segments.length)) continue
      const place = shape.places.get(keyOf(shape, segments, tag))
      if (place && (first === undefined || place.index < first.index)) first = place
    }
    return first?.entry
  }
}

/** What patterns that differ only in their literal text have in common. */
interface PatternShape {
  readonly length: number
  readonly hasRest: boolean
  /** Indices of the literal segments. */
  readonly literals: readonly number[]
  readonly hasTag: boolean
}

interface Shape<Entry> extends PatternShape {
  readonly places: Map<string, Place<Entry>>
}

interface Place<Entry> {
  readonly index: number
  readonly entry: Entry
}

function shapeOf({ segments, hasRest, tag }: NamePattern): PatternShape {
  const literals = segments.flatMap((segment, at) => ('literal' in segment ? [at] : []))
  return { length: segments.length, hasRest, literals, hasTag: tag !== undefined }
}

function fits({ length, hasRest }: PatternShape, segments: number): boolean {
  return hasRest ? segments > length : segments === length
}

/** Unique, as neither segments nor tags contain a slash or a colon. */
function keyOf({ literals, hasTag }: PatternShape, segments: readonly string[], tag = ''): string {
  const path = literals.map(at => segments[at]).join('/')
  return hasTag ? `${path}:${tag}` : path
}

function literalOf(segment: NamePattern['segments'][number]): string {
  return 'literal' in segment ? segment.literal : ''
}
