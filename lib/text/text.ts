import { withoutEscapes } from './terminal.ts'

/**
 * Makes foreign text safe to show: removes terminal escapes, control characters except tab and newline, and characters
 * that change the writing direction. Takes linear time.
 */
export function cleanText(text: string): string {
  return withoutEscapes(text).replaceAll('\r\n', '\n').replaceAll('\r', '\n').replace(UNSHOWN, '')
}

const UNSHOWN = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu

/**
 * A copy of the first `max` characters. A slice, a match or a piece of `split` that is kept would keep the whole text
 * alive in V8.
 */
export function copyStart(text: string, max: number): string {
  return Buffer.from(text.slice(0, max)).toString()
}

/** Adds an item to the newest ones, and drops the oldest beyond `max`. Returns the list. */
export function pushBounded<Item>(newest: Item[], item: Item, max: number): Item[] {
  newest.push(item)
  if (newest.length > max) newest.shift()
  return newest
}

/** Removes all `character`s at the end. A pattern such as `/0+$/` takes quadratic time. */
export function withoutEnd(text: string, character: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === character) end -= 1
  return text.slice(0, end)
}
