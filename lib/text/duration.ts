import ms from 'ms'

/** The longest delay of a Node timer, in milliseconds: longer ones fire immediately. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Milliseconds in a duration such as `90s`, `5m` or `1h`. Undefined if the text is not a duration, or too long for a
 * timer.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return undefined
  const value = ms(text as ms.StringValue)
  return value > 0 && value <= MAX_TIMER_MS ? value : undefined
}

const UNITS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** The shortest text that `parseDuration` reads as this number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  const [unit, length] = UNITS.find(([, length]) => milliseconds % length === 0) ?? ['ms', 1]
  return `${milliseconds / length}${unit}`
}
