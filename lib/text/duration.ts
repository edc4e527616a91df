import ms from 'ms'

/** What a timer of Node can hold, in milliseconds: longer ones fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** Milliseconds in a duration as people write it, `90s`, `5m`, `1h`; undefined when it is none, or no time for a timer. */
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

/** The shortest text that `parseDuration` reads as that many milliseconds. */
export function formatDuration(milliseconds: number): string {
  const [unit, length] = UNITS.find(([, length]) => milliseconds % length === 0) ?? ['ms', 1]
  return `${milliseconds / length}${unit}`
}
