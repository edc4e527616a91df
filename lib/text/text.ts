import { withoutEscapes } from './terminal-escapes.ts'

/**
 * A text from outside, fit to be shown: no terminal escapes, no control characters but tab and newline, nothing that turns the
 * direction of writing round. Takes linear time.
 */
export function cleanText(text: string): string {
  return withoutEscapes(text).replaceAll('\r\n', '\n').replaceAll('\r', '\n').replace(UNSHOWN, '')
}

const UNSHOWN = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu

/**
 * A copy of the first `max` characters. What is to be kept must not be a mere slice, nor what a regular expression or
 * `split` gives: V8 keeps the whole text alive for it.
 */
export function copyStart(text: string, max: number): string {
  return Buffer.from(text.slice(0, max)).toString()
}

/** The text without any of that character at its end. (A pattern such as `/0+$/` begins anew at every one of many.) */
export function withoutEnd(text: string, character: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === character) end -= 1
  return text.slice(0, end)
}
