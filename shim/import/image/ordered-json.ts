import { archiveInvalid } from './errors.ts'

/**
 * JSON with what JavaScript's own objects and numbers lose: the order of keys that look like integers, and the text of numbers.
 * If a key is there twice, the last value counts, at the first one's place.
 */
export type OrderedJson = null | boolean | string | JsonNumber | OrderedJson[] | Map<string, OrderedJson>

export interface JsonNumber {
  /** Its text in the document. */
  readonly number: string
}

/** Deeper than any image's config, and far from the end of the stack. */
const MAX_DEPTH = 100

/** Throws ArchiveInvalid if the text is nested too deeply, SyntaxError if it is not JSON. */
export function readOrderedJson(text: string): OrderedJson {
  JSON.parse(text)
  let at = 0

  function readValue(depth: number): OrderedJson {
    if (depth > MAX_DEPTH) throw archiveInvalid(`has JSON that is nested more than ${MAX_DEPTH} levels deep`)
    switch (nextSign()) {
      case '{':
        return new Map(readItems('}', () => readMember(depth)))
      case '[':
        return readItems(']', () => readValue(depth + 1))
      case '"':
        return readString()
      default:
        return readLiteral()
    }
  }

  /** Reads everything between two brackets. */
  function readItems<Item>(end: string, readItem: () => Item): Item[] {
    const items: Item[] = []
    at++
    while (nextSign() !== end) {
      items.push(readItem())
      if (nextSign() === ',') at++
    }
    at++
    return items
  }

  function readMember(depth: number): [string, OrderedJson] {
    nextSign()
    const key = readString()
    nextSign()
    at++
    return [key, readValue(depth + 1)]
  }

  function readString(): string {
    const start = at++
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
    at++
    return String(JSON.parse(text.slice(start, at)))
  }

  function readLiteral(): OrderedJson {
    LITERAL.lastIndex = at
    const [word = ''] = LITERAL.exec(text) ?? []
    at += word.length
    if (word === 'null') return null
    if (word === 'true' || word === 'false') return word === 'true'
    return { number: word }
  }

  function nextSign(): string | undefined {
    while (SPACE.includes(text[at] ?? '.')) at++
    return text[at]
  }

  return readValue(0)
}

const SPACE = ' \t\r\n'
const LITERAL = /[-+.\w]+/y
