/** A compiled pattern. */
export type Glob = (text: string) => boolean

/**
 * Compiles a glob. `*` matches any text within one path segment, `?` one character, `[abc]` or `[a-z]` one of these,
 * `[!abc]` any other. `**` as a whole segment matches any number of segments. A backslash escapes the next character.
 * Matching takes at most time proportional to the length of the text times that of the pattern.
 */
export function compileGlob(pattern: string): Glob {
  const segments = pattern.split('/').map(compileSegment)
  // `a/**` matches everything below `a`, but not `a` itself.
  if (segments.length > 1 && segments.at(-1) === ANY_SEGMENTS) segments.push(ANY_SEGMENT)
  return text => matchAll(segments, text.split('/'))
}

const ANY_SEGMENTS = Symbol('**')
const ANY_SEGMENT = Symbol('one')
const ANY_TEXT = Symbol('*')

type Character = (character: string) => boolean
type Segment = typeof ANY_SEGMENTS | typeof ANY_SEGMENT | readonly (Character | typeof ANY_TEXT)[]

function compileSegment(segment: string): Segment {
  if (segment === '**') return ANY_SEGMENTS
  const parts: (Character | typeof ANY_TEXT)[] = []
  const characters = [...segment]
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? ''
    const end = character === '[' ? characters.indexOf(']', at + 2) : -1
    if (character === '*') parts.push(ANY_TEXT)
    else if (character === '?') parts.push(() => true)
    else if (end > at) {
      parts.push(compileSet(characters.slice(at + 1, end)))
      at = end
    } else {
      if (character === '\\' && at + 1 < characters.length) at += 1
      const literal = characters[at]
      parts.push(other => other === literal)
    }
  }
  return parts
}

function compileSet(characters: readonly string[]): Character {
  const isNegated = characters[0] === '!' || characters[0] === '^'
  const members = isNegated ? characters.slice(1) : characters
  const ranges: (readonly [string, string])[] = []
  for (let at = 0; at < members.length; at += 1) {
    const first = members[at] ?? ''
    const isRange = members[at + 1] === '-' && at + 2 < members.length
    ranges.push([first, isRange ? (members[at + 2] ?? first) : first])
    if (isRange) at += 2
  }
  return character => ranges.some(([first, last]) => first <= character && character <= last) !== isNegated
}

function matchAll(pattern: readonly Segment[], segments: readonly string[]): boolean {
  return align(pattern, segments, {
    isAny: segment => segment === ANY_SEGMENTS,
    skips: text => !isDots(text),
    matches: (segment, text) => {
      if (segment === ANY_SEGMENT) return !isDots(text)
      return segment !== ANY_SEGMENTS && matchSegment(segment, text)
    },
  })
}

function matchSegment(pattern: readonly (Character | typeof ANY_TEXT)[], text: string): boolean {
  // A star as a whole segment needs at least one character, and never matches `.` or `..`.
  if (text === '') return pattern.length === 0
  if (isDots(text) && pattern.some(part => part === ANY_TEXT)) return false
  return align(pattern, [...text], {
    isAny: part => part === ANY_TEXT,
    skips: () => true,
    matches: (part, character) => part !== ANY_TEXT && part(character),
  })
}

function isDots(segment: string): boolean {
  return segment === '.' || segment === '..'
}

interface Rules<Part, Item> {
  isAny(part: Part): boolean
  /** Whether a wildcard may match this item. */
  skips(item: Item): boolean
  matches(part: Part, item: Item): boolean
}

/** Whether the items match the parts, of which some match any number of items. Backtracks only to the last of these. */
function align<Part, Item>(
  parts: readonly Part[],
  items: readonly Item[],
  { isAny, skips, matches }: Rules<Part, Item>,
): boolean {
  let part = 0
  let item = 0
  const canSkip = (at: number) => items.slice(at, at + 1).every(skips)
  let retry: { part: number; item: number } | undefined
  while (item < items.length) {
    const wanted = parts[part]
    const found = items[item]
    if (wanted !== undefined && isAny(wanted)) {
      part += 1
      retry = { part, item }
    } else if (wanted !== undefined && found !== undefined && matches(wanted, found)) {
      part += 1
      item += 1
    } else if (retry && canSkip(retry.item)) {
      retry.item += 1
      part = retry.part
      item = retry.item
    } else return false
  }
  return parts.slice(part).every(isAny)
}
