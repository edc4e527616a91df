import ms from 'ms'

/** `3.4 GB`, `120 MB`, `12 B`. */
export function describeSize(bytes: number): string {
  const [unit, size] = SIZES.find(([, size]) => bytes >= size) ?? ['B', 1]
  const value = bytes / size
  return `${unit === 'B' || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`
}

const SIZES = [
  ['GB', 1e9],
  ['MB', 1e6],
  ['kB', 1e3],
] as const

/** `3.4 MB`: the same unit for each size, so that a growing size is easy to follow. */
export function describeMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** `3.4 s`, `850 ms`. */
export function describeDuration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`
}

/** `12 s`, `5 min 3 s`, `3 h 12 min`, `4 d 2 h`: whole seconds, and the two largest units. */
export function describeSpan(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const [large, length, small, rest] = SPANS.find(([, length]) => seconds >= length) ?? []
  if (large === undefined || length === undefined || rest === undefined) return `${seconds} s`
  return `${Math.floor(seconds / length)} ${large} ${Math.floor((seconds % length) / rest)} ${small}`
}

const SPANS = [
  ['d', 86_400, 'h', 3600],
  ['h', 3600, 'min', 60],
  ['min', 60, 's', 1],
] as const

/** `1 rule`, `2 rules`. */
export function describeCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Bytes in a size such as `500MiB`, `20GiB`, or Kubernetes' `20Gi`; undefined if the text is not a size. */
export function parseSize(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,6})?)(Ki|Mi|Gi|Ti)B?$/.exec(text) ?? []
  const size = Object.entries(BINARY_SIZES).find(([name]) => name === unit)?.[1] ?? 0
  const bytes = Math.floor(Number(number) * size)
  return bytes > 0 ? bytes : undefined
}

/** Formats as `20GiB`, in the largest unit that divides the number of bytes. */
export function formatSize(bytes: number): string {
  const unit = Object.entries(BINARY_SIZES).findLast(([, size]) => bytes % size === 0)
  return unit ? `${bytes / unit[1]}${unit[0]}B` : `${bytes} bytes`
}

const BINARY_SIZES = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const

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

/** The shortest text that `parseDuration` reads as this number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  const [unit, length] = DURATIONS.find(([, length]) => milliseconds % length === 0) ?? ['ms', 1]
  return `${milliseconds / length}${unit}`
}

const DURATIONS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const
