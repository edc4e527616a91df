import { stripVTControlCharacters } from 'node:util'

/** A text from a program, fit to be shown: no terminal escapes, no control characters but tab and newline. */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\r\n?/g, '\n')
    .replace(/[^\P{Cc}\t\n]/gu, '')
}

/**
 * A copy of the first `max` characters. What is to be kept must not be a mere slice, nor what a regular expression or
 * `split` gives: V8 keeps the whole text alive for it.
 */
export function copyStart(text: string, max: number): string {
  return Buffer.from(text.slice(0, max)).toString()
}

/** At most `max` characters or so: the beginning, where nix says what failed, and twice as much of the end. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text
  const head = Math.floor(max / 3)
  return `${text.slice(0, head)}\n…\n${text.slice(text.length - (max - head))}`
}
