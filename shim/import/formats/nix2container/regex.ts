import type { RE2JS } from 're2js'
import { quote } from '../../../../lib/text/quote.ts'
import { archiveInvalid } from '../../image/errors.ts'
import type { MergedLayer } from '../../image/store-image.ts'
import { type ByteString, bytesOf } from '../../store/byte-string.ts'

/** A regular expression with the meaning that it has in Go. */
export interface GoRegex {
  matches(bytes: ByteString): boolean
  /** The first match at or after an index; what is before the index counts as context. */
  find(bytes: ByteString, from: number): GoMatch | undefined
}

export interface GoMatch {
  readonly start: number
  readonly end: number
  /** What a group matched, by its number or name; empty if it matched nothing. */
  group(name: string): ByteString
}

/** By their text. */
export type Regexes = ReadonlyMap<string, GoRegex>

/**
 * Compiles all regular expressions of a layer. Throws ArchiveInvalid for one that Go would reject, and for one with two groups of
 * the same name, which Go accepts.
 */
export async function compileRegexes({ paths }: Pick<MergedLayer, 'paths'>): Promise<Regexes> {
  const texts = paths.flatMap(({ rewrite, perms }) => [rewrite?.regex ?? '', ...perms.map(({ regex }) => regex)])
  const distinct = [...new Set(texts)]
  if (distinct.every(text => text === '') && paths.every(({ perms }) => perms.length === 0)) return new Map()
  const { RE2JS } = await import('re2js')
  return new Map(distinct.map(text => [text, compile(text, RE2JS)]))
}

function compile(text: string, engine: typeof RE2JS): GoRegex {
  try {
    return toGoRegex(engine.compile(text))
  } catch (cause) {
    throw archiveInvalid(`has an unusable regular expression: ${quote(text)}`, cause)
  }
}

function toGoRegex(regex: RE2JS): GoRegex {
  return {
    matches: bytes => regex.matcher(Buffer.from(bytes, 'latin1')).find(),
    find(bytes, from) {
      const matcher = regex.matcher(Buffer.from(bytes, 'latin1'))
      if (!matcher.find(from)) return undefined
      const group = (name: string) => {
        const number = groupNumber(name, regex)
        if (number === undefined || matcher.start(number) < 0) return ''
        return bytes.slice(matcher.start(number), matcher.end(number))
      }
      return { start: matcher.start(), end: matcher.end(), group }
    },
  }
}

/** A number with leading zeros is a name. */
function groupNumber(name: string, regex: RE2JS): number | undefined {
  const isNumber = /^(0|[1-9]\d{0,7})$/.test(name)
  if (isNumber) return Number(name) <= regex.groupCount() ? Number(name) : undefined
  return new Map<string, number>(Object.entries(regex.namedGroups())).get(name)
}

/** Replaces every match as Go's `regexp.ReplaceAll` does. */
export function replaceAll(bytes: ByteString, regex: GoRegex, template: string): ByteString {
  let replaced = ''
  let copied = 0
  for (let from = 0; from <= bytes.length; ) {
    const match = regex.find(bytes, from)
    if (!match) break
    replaced += bytes.slice(copied, match.start)
    // An empty match that touches the previous match does not count.
    if (match.end > copied || match.start === 0) replaced += expand(template, match)
    copied = match.end
    from = Math.max(match.end, from + characterLength(bytes, from))
  }
  return replaced + bytes.slice(copied)
}

/** `$name` is as long as a name can be; a `$` without a name stands for itself. */
const VARIABLE = /\$(?:\$|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu

function expand(template: string, match: GoMatch): ByteString {
  let expanded = ''
  let copied = 0
  for (const variable of template.matchAll(VARIABLE)) {
    const [text, bare, braced] = variable
    const name = bare ?? braced
    expanded += bytesOf(template.slice(copied, variable.index)) + (name === undefined ? '$' : match.group(name))
    copied = variable.index + text.length
  }
  return expanded + bytesOf(template.slice(copied))
}

/** A byte that belongs to no character counts as a character. */
function characterLength(bytes: ByteString, at: number): number {
  const [first = ''] = Buffer.from(bytes.slice(at, at + 4), 'latin1').toString('utf8')
  return bytes.startsWith(bytesOf(first), at) ? Math.max(1, Buffer.byteLength(first)) : 1
}
