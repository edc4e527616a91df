import { type ByteString, bytesOf } from '../../store/byte-string.ts'
import type { GoMatch, GoRegex } from './regex.ts'

/** Replaces every match as Go's `regexp.ReplaceAll` does. */
export function replaceAll(bytes: ByteString, regex: GoRegex, template: string): ByteString {
  let replaced = ''
  let copied = 0
  for (let from = 0; from <= bytes.length; ) {
    const match = regex.find(bytes, from)
    if (!match) break
    replaced += bytes.slice(copied, match.start)
    // No empty match counts that touches the one before it.
    if (match.end > copied || match.start === 0) replaced += expand(template, match)
    copied = match.end
    from = Math.max(match.end, from + characterLength(bytes, from))
  }
  return replaced + bytes.slice(copied)
}

/** `$name` takes all that can be a name; a `$` that is followed by none stands for itself. */
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

/** A byte that belongs to no character counts as one. */
function characterLength(bytes: ByteString, at: number): number {
  const [first = ''] = Buffer.from(bytes.slice(at, at + 4), 'latin1').toString('utf8')
  return bytes.startsWith(bytesOf(first), at) ? Math.max(1, Buffer.byteLength(first)) : 1
}
